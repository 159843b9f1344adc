"""The estimate of a job: larger with more calls and prices, honest about its range, bounded by the worst case."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from samples import recipe_of

import ledger
from config.models import Limits, Model, model
from config.money import Price
from config.recipe import Recipe
from config.settings import settings
from console.estimate_text import lines
from ledger.jobs import Spec
from ledger.learned import Figures, from_means, weight_of
from producers import forecast, part_cost
from producers.estimate import WINDOW, Estimate, Known, estimate
from producers.expand import Variables, expand, shares
from producers.forecast import SHARE, interval, student, variance
from producers.part_cost import learned
from producers.pilot import CALLS, needed, pilot
from producers.plan import Plan
from producers.prompt_sizes import prompt_sizes, spread

HAIKU = "anthropic/claude-haiku-4.5"
USD = 1e9
SEEN = Figures(
    calls=412, weight=412, ratio=0.3, prompt=None, completion=200, cost=1_300_000, spread=0.4, latency=2.0, p99=480
)  # fmt: skip


def plan_of(
    count: int,
    *recipes: Recipe,
    rows: Callable[[], Iterator[Variables]] | None = None,
    changes: dict[str, Any] | None = None,
    seed: int = 0,
) -> Plan:
    """A checked job of recipes whose prompts are all of one size unless they say otherwise."""
    recipes = recipes or (recipe_of(axes={"subject": ["storia", "chimic"]}),)
    asked: Model = model(HAIKU).model_copy(update=changes or {})
    parts = [part for part in shares(recipes, count) if part.examples]
    spec = Spec(recipes=tuple(part.recipe for part in parts), model=HAIKU, total=count, seed=seed)
    return Plan("cards-1", spec, parts, rows, asked, [asked], 0)


def known(limits: Limits | None = None, **figures: Figures) -> Known:
    """What is known of recipes, under limits that bind nothing unless they are given."""
    return Known(limits or Limits(), figures)


def some_rows(count: int) -> Callable[[], Iterator[Variables]]:
    """Rows of sizes that differ."""
    return lambda: ({"passage": f"brano {k} " * (1 + k % 7)} for k in range(count))


def price(into: float, out: float) -> Price:
    return Price.model_validate({"input": str(into), "output": str(out)})


# What is sampled


@pytest.mark.parametrize("rows", [3, 40, 90])
def test_a_small_job_is_measured_whole(rows: int) -> None:
    """Of a job of no more tasks than are sampled, every task is measured as it would be enqueued, rows included."""
    own = recipe_of(rows=("passage",), prompt="{{ passage }} {{ subject }} {{ items }}", call={"items": 3})
    other = recipe_of(name="others")
    planned = plan_of(101, own, other, rows=some_rows(rows), seed=5)
    items = list(expand(planned.parts, 5, planned.rows))
    assert prompt_sizes(planned) == [[item.prompt_bytes for item in items if item.recipe == k] for k in (0, 1)]


@given(rows=st.integers(1, 5_000), calls=st.integers(1, 6_000), most=st.integers(1, 60))
def test_rows_are_picked_evenly_over_those_that_are_used(rows: int, calls: int, most: int) -> None:
    """The picked rows are in their places, no more than asked for, and no stretch of the file is left out."""
    picked, seen, whole = spread(({"k": k} for k in range(rows)), calls, most)
    used = min(rows, calls)
    assert (seen, whole) == (used, used <= most)
    assert len(picked) == min(most, used)
    places = [place for place, row in picked]
    assert [row["k"] for _, row in picked] == places
    gaps = [later - earlier for earlier, later in zip([-1, *places], [*places, used], strict=True)]
    assert max(gaps) <= 1.25 * used / len(picked) + 2


def test_a_sample_of_many_rows_is_of_tasks_that_there_are() -> None:
    """Where rows come round again, a sampled prompt is one of those that its row is asked in."""
    own = recipe_of(rows=("passage",), prompt="{{ passage }} {{ subject }}", axes={"subject": ["a", "bb", "ccc", "d"]})
    planned = plan_of(2_500, own, rows=some_rows(900))
    sizes, there = prompt_sizes(planned)[0], [item.prompt_bytes for item in expand(planned.parts, 0, planned.rows)]
    assert len(sizes) == 500
    assert set(sizes) <= set(there)
    assert sum(sizes) / 500 == pytest.approx(sum(there) / 2_500, rel=0.02)


def test_rows_that_were_not_reached_in_time_are_left_out() -> None:
    """With no time left, the first rows have to do."""
    own = recipe_of(rows=("passage",), prompt="{{ passage }}")
    planned = plan_of(5_000, own, rows=some_rows(5_000))
    first = [item.prompt_bytes for item, _ in zip(planned.items(), range(256), strict=False)]
    assert set(prompt_sizes(planned, seconds=0)[0]) <= set(first)


# How it grows


COUNTS = st.integers(1, 400)


@given(count=COUNTS, more=COUNTS, seen=st.booleans())
@hypothesis_settings(max_examples=30)
def test_more_examples_cost_and_take_more(count: int, more: int, seen: bool) -> None:
    """Every end of both ranges, and the worst case, grow with the number of examples."""
    limits = Limits(requests_per_minute=50, tokens_per_minute=20_000, concurrent_requests=10)
    what = known(limits, **({"cards": SEEN} if seen else {}))
    less, all_of_it = estimate(plan_of(count), what), estimate(plan_of(count + more), what)
    assert all(small < large for small, large in zip(less.cost, all_of_it.cost, strict=True))
    assert all(small < large for small, large in zip(less.seconds, all_of_it.seconds, strict=True))
    assert less.worst < all_of_it.worst


PRICES = st.integers(1, 3_000).map(lambda cents: cents / 100)


@given(into=PRICES, out=PRICES, dearer=st.floats(1.01, 5), which=st.booleans())
@hypothesis_settings(max_examples=30)
def test_dearer_tokens_cost_more(into: float, out: float, dearer: float, which: bool) -> None:
    """A guess and every worst case grow with both prices; figures seen count as they were paid."""
    changed = (into * dearer, out) if which else (into, out * dearer)
    cheap, dear = (estimate(plan_of(50, changes={"price": price(*pair)}), known()) for pair in ((into, out), changed))
    assert all(less <= more for less, more in zip(cheap.cost, dear.cost, strict=True))
    assert cheap.worst <= dear.worst
    assert cheap.cost != dear.cost
    paid = [
        estimate(plan_of(50), known(cards=Figures(**(vars(SEEN) | {"prompt": 200.0, "cost": 1e6 * times})))).cost
        for times in (1, dearer)
    ]
    assert all(less < more for less, more in zip(*paid, strict=True))


def test_a_job_that_was_begun_is_estimated_as_far_as_it_is_left() -> None:
    """Half of the tasks are left: half the cost, half the time."""
    whole = estimate(plan_of(200), known(cards=SEEN))
    rest = estimate(plan_of(200), Known(Limits(), {"cards": SEEN}, left=100))
    assert (rest.calls, rest.examples) == (100, 100)
    assert rest.cost.mean == pytest.approx(whole.cost.mean / 2)
    assert rest.worst == pytest.approx(whole.worst / 2, abs=1)


# The range


def running_means(costs: list[float], tokens: list[float]) -> dict[str, float]:
    """What means.lua keeps after calls of these costs and completion tokens."""
    fields = {"n": 0.0, "cost": 0.0, "cost2": 0.0, "completion": 0.0, "ratio": 0.3, "latency": 1.0}
    for n, (cost, used) in enumerate(zip(costs, tokens, strict=True), 1):
        w = max(1 / n, 0.02)
        for name, value in (("cost", cost), ("cost2", cost**2), ("completion", used)):
            fields[name] = fields[name] * (1 - w) + value * w
        fields["n"] = n
    return fields


@pytest.mark.parametrize("sigma", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seen", [5, 20, 50, 400])
@pytest.mark.parametrize("totals", [False, True])
def test_the_range_holds_the_stated_share_of_jobs(sigma: float, seen: int, totals: bool) -> None:
    """Of jobs with lognormal completions 90% cost what is inside the range, from running means and from totals."""
    rng = random.Random(f"{sigma} {seen} {totals}")
    recipe, haiku = recipe_of(), model(HAIKU)
    bytes_, prompt_tokens, calls, jobs = 1_000, 300, 300, 400
    inside = 0
    for _ in range(jobs):

        def call() -> tuple[float, float]:
            tokens = rng.lognormvariate(math.log(250) - sigma**2 / 2, sigma)
            return prompt_tokens * 1_000 + tokens * 5_000, tokens

        costs, tokens = zip(*(call() for _ in range(seen)), strict=True)
        figures = from_means(running_means(list(costs), list(tokens)))
        assert figures is not None
        if totals:
            mean, used = sum(costs) / seen, sum(tokens) / seen
            figures = Figures(**(vars(figures) | {"weight": seen, "cost": mean, "completion": used, "drifts": False}))
        low, _, high = learned(recipe, haiku, calls, bytes_, figures).cost
        inside += low <= sum(call()[0] for _ in range(calls)) <= high
    # Two standard deviations of the count itself.
    assert inside >= jobs * SHARE - 2 * math.sqrt(jobs * SHARE * (1 - SHARE))


@given(
    mean=st.floats(1e4, 1e9), spread=st.floats(0, 2), seen=st.integers(1, 2_000), calls=st.integers(1, 10**6),
)  # fmt: skip
def test_the_range_is_around_its_mean_and_narrows_with_calls_seen(
    mean: float, spread: float, seen: int, calls: int
) -> None:
    """It holds the mean, is above nothing, and more calls seen or less doubt make it no wider."""

    def of(seen: int, doubt: float = 0.0) -> forecast.Range:
        return interval(mean * calls, variance(mean, spread, seen, calls, doubt), seen)

    low, middle, high = of(seen)
    assert 0 < low < middle == mean * calls < high
    assert of(seen, doubt=0.3).high > high
    if spread <= 0.5:
        # A prior of 0.7 is given up for what is seen.
        assert of(2 * seen + 10).high <= high


@given(
    spread=st.floats(0, 3), seen=st.integers(1, 500), cost=st.floats(1e4, 1e8), count=st.integers(1, 300),
    guess=st.booleans(), counting=st.sampled_from(["actual", "reserved"]), again=st.integers(0, 3),
)  # fmt: skip
@hypothesis_settings(max_examples=60)
def test_the_worst_case_bounds_the_range(
    spread: float, seen: int, cost: float, count: int, guess: bool, counting: str, again: int
) -> None:
    """Whatever was seen or guessed, no end of the range is above the worst case, and a call's worst is a part of it."""
    figures = Figures(**(vars(SEEN) | {"spread": spread, "weight": seen, "cost": cost}))
    planned = plan_of(count, recipe_of(call={"retry_invalid": again}), changes={"token_counting": counting})
    made = estimate(planned, known() if guess else known(cards=figures))
    assert 0 <= made.cost.low <= made.cost.mean <= made.cost.high <= made.worst
    assert made.worst_call * count <= made.worst * 1.1


def test_the_worst_case_is_what_a_budget_reserves() -> None:
    """Every byte as a token, all of max_tokens, for each call: at most 900 tokens at $5 and the bytes at $1.25."""
    planned = plan_of(40)
    bytes_ = sum(item.prompt_bytes for item in planned.items())
    assert estimate(planned, known()).worst == bytes_ * 1_250 + 40 * 900 * 5_000


def test_other_prompts_than_those_seen_move_the_cost_and_widen_the_range() -> None:
    """Prompts twice as large cost their tokens more, and the range is relatively wider."""
    recipe, haiku = recipe_of(), model(HAIKU)
    figures = Figures(**(vars(SEEN) | {"prompt": 300.0}))
    same, larger = (learned(recipe, haiku, 1_000, bytes_, figures).cost for bytes_ in (1_000, 2_000))
    assert same.mean == pytest.approx(1_000 * SEEN.cost)
    assert larger.mean == pytest.approx(1_000 * (SEEN.cost + 300 * 1_000))
    assert larger.high / larger.mean > 1.2 * same.high / same.mean


def test_figures_of_a_changed_recipe_are_doubted() -> None:
    """Those of before the change, and running means that weigh the newest calls most, have wider ranges."""
    recipe, haiku = recipe_of(), model(HAIKU)
    widths = []
    for doubts in ({}, {"drifts": True}, {"changed": True}):
        cost = learned(recipe, haiku, 1_000, 1_000, Figures(**(vars(SEEN) | {"prompt": 300.0} | doubts))).cost
        widths.append(cost.high / cost.mean)
    assert widths == sorted(widths)
    assert widths[0] < 1.1 < widths[1]


def test_a_mix_adds_what_is_seen_and_what_is_guessed() -> None:
    """A recipe without a call makes the whole a guess; with all of them seen, their errors partly cancel out."""
    two = (recipe_of(axes={"subject": ["a"]}), recipe_of(name="others", axes={"subject": ["a"]}))
    both = estimate(plan_of(400, *two), known(cards=SEEN, others=SEEN))
    one = estimate(plan_of(200, two[0]), known(cards=SEEN))
    half = estimate(plan_of(400, *two), known(cards=SEEN))
    assert both.cost.mean == pytest.approx(2 * one.cost.mean)
    assert both.cost.high < 2 * one.cost.high
    assert (both.share, half.share, half.guessed) == (SHARE, None, ("others",))
    assert half.cost.high > one.cost.high + 200 * 900 * 5_000


# The time


def seconds_under(planned: Plan, limits: Limits, figures: Figures | None = SEEN, **more: Any) -> Estimate:
    """The estimate under limits."""
    return estimate(planned, Known(limits, {} if figures is None else {"cards": figures}, **more))


def test_the_time_is_what_the_tightest_limit_asks_for() -> None:
    """Requests, tokens, calls in flight and workers each have their seconds; the longest binds, a last call follows."""
    planned = plan_of(300)
    prompt = 0.3 * sum(item.prompt_bytes for item in planned.items())
    made = seconds_under(
        planned, Limits(requests_per_minute=100, tokens_per_minute=20_000, concurrent_requests=30), capacity=20
    )
    assert made.under == pytest.approx(
        {"requests": 3 * WINDOW, "tokens": (prompt + 300 * 200) / 20_000 * WINDOW, "concurrent": 20.0, "workers": 30.0}
    )
    assert made.binds == "tokens"
    assert made.seconds.mean == pytest.approx(made.under["tokens"] + 2.0)
    assert seconds_under(planned, Limits(requests_per_minute=100, tokens_per_minute=10**9)).binds == "requests"


def test_calls_that_are_made_again_take_requests() -> None:
    """Three requests for a task that settles take three times as long."""
    again = Figures(**(vars(SEEN) | {"attempts": 3.0}))
    limits = Limits(requests_per_minute=100)
    once, thrice = (seconds_under(plan_of(300), limits, figures) for figures in (SEEN, again))
    assert thrice.under["requests"] == pytest.approx(3 * once.under["requests"])
    assert (once.requests, thrice.requests) == (300, 900)


@pytest.mark.parametrize(("p99", "counted"), [(480, 300 * 600), (900, 300 * 900), (None, 40 * 900 + 260 * 675)])
def test_a_provider_that_takes_max_tokens_is_counted_so(p99: int | None, counted: int) -> None:
    """The learned percentile with its margin, never above max_tokens; all of them until it is known."""
    planned = plan_of(300, changes={"token_counting": "reserved"})
    prompt = 0.3 * sum(item.prompt_bytes for item in planned.items())
    made = seconds_under(planned, Limits(tokens_per_minute=10_000), Figures(**(vars(SEEN) | {"p99": p99})))
    assert made.under["tokens"] == pytest.approx((prompt + counted) / 10_000 * WINDOW)


def test_a_delay_between_batches_counts(clean: pytest.MonkeyPatch) -> None:
    """BATCH_DELAY_MS after every hundred tasks is a limit like the others."""
    clean.setenv("BATCH_DELAY_MS", "60000")
    settings.cache_clear()
    assert seconds_under(plan_of(1_000), Limits(requests_per_minute=1_000)).binds == "enqueuing"


# What people read


def said(budget: float | None, figures: Figures | None = SEEN, paid: int = 0, **more: Any) -> list[str]:
    """What `run` says before 300 cards with that budget."""
    planned = plan_of(300)
    what = Known(Limits(requests_per_minute=100), {} if figures is None else {"cards": figures}, **more)
    return lines(estimate(planned, what), what, planned, budget, paid)


def test_one_line_says_cost_time_limit_and_source() -> None:
    """The estimate is one line, and a budget that suffices adds none."""
    (line,) = said(5.0)
    pattern = r"cards-1: probably \$0\.\d+ \(\$0\.\d+ to \$0\.\d+ for 90% of such jobs\), about 3 min by the limit on "
    assert re.fullmatch(pattern + r"requests; from 412 calls of cards\.", line), line


def test_a_budget_below_the_cost_says_what_it_pays_for() -> None:
    """Half of the money pays for a little less than half of the examples, as the last call must be able to be dear."""
    planned = plan_of(300)
    made = estimate(planned, known(cards=SEEN))
    _, line = said(made.cost.mean / 2 / USD)
    pays = int(re.search(r"about (\d+) of 300", line)[1])  # type: ignore[index]
    assert 140 <= pays < 150
    assert "is below that" in line
    _, today = said(None, today=round(made.cost.mean / 3))
    assert today.startswith("What the fleet may still spend today (UTC), $")
    _, nothing = said(1.0, paid=10**9)
    assert "about 0 of 300" in nothing


def test_a_guess_says_that_it_is_one() -> None:
    """Without a call there is no share, and the command that would know better is named."""
    line, hint, bound = said(0.05, figures=None)
    assert "a guess from max_tokens and prices, as no call of cards was seen" in line
    assert "%" not in line
    assert "`genfleet estimate` with the same arguments and --pilot" in hint
    assert "may be too low" in bound


# The pilot


def test_a_pilot_asks_twenty_calls_of_what_is_not_known() -> None:
    """Known recipes are left out; the pilot's rows are from all over, its id is its own and always the same."""
    own = recipe_of(rows=("passage",), prompt="{{ passage }} {{ subject }}", call={"items": 2})
    planned = plan_of(1_000, own, recipe_of(name="others"), rows=some_rows(400))
    assert needed(planned, {"cards": SEEN, "others": SEEN}) == []
    changed = Figures(**(vars(SEEN) | {"changed": True}))
    assert [one.name for one in needed(planned, {"cards": changed})] == ["cards", "others"]
    made, worst = pilot(planned, needed(planned, {"others": SEEN}))
    items = list(made.items())
    assert (made.units, made.spec.total, len(items)) == (CALLS, 2 * CALLS, CALLS)
    # The job's first recipe has 500 examples in 250 calls: its rows are the first 250.
    assert [int(item.variables["passage"].split()[1]) for item in items] == [(2 * k + 1) * 250 // 40 for k in range(20)]
    assert worst == sum(item.prompt_bytes for item in items) * 1_250 + CALLS * 900 * 5_000
    assert made.id.startswith("cards-pilot-")
    assert made.id == pilot(planned, needed(planned, {"others": SEEN}))[0].id
    assert made.id != pilot(plan_of(1_000, own, rows=some_rows(400), seed=1), [own])[0].id


# The parts it is made of


@pytest.mark.parametrize(("freedom", "quantile"), [(3, 3.182), (5, 2.571), (10, 2.228), (22, 2.074), (1_000, 1.962)])
def test_students_quantile_is_as_in_the_tables(freedom: float, quantile: float) -> None:
    """The 97.5% quantile, to 2%."""
    assert student(freedom) == pytest.approx(quantile, rel=0.02)


@pytest.mark.parametrize("calls", [1, 20, 50, 51, 120, 3_000])
def test_the_weight_of_running_means_is_that_of_their_weights(calls: int) -> None:
    """One over the sum of the squares of what each call weighs in the mean at the end."""
    weights: list[float] = []
    for n in range(1, calls + 1):
        new = max(1 / n, 0.02)
        weights = [old * (1 - new) for old in weights] + [new]
    assert weight_of(calls) == pytest.approx(1 / sum(weight**2 for weight in weights), rel=1e-6)


def test_constants_of_the_scripts_are_the_same_here() -> None:
    """What the estimate knows of the ledger's scripts stands in them."""
    text = "".join(Path(ledger.__file__).with_name(f"{name}.lua").read_text() for name in ("admit", "means"))
    there = {name: float(value) for name, value in re.findall(r"^local (\w+) = ([\d.]+)", text, re.MULTILINE)}
    assert there["WINDOW"] == pytest.approx(WINDOW, rel=0.01)
    assert there["SLOWEST"] == 0.02
    assert (there["MARGIN"], there["ENOUGH"]) == (part_cost.MARGIN, part_cost.P99_KNOWN)
    assert there["COLD_RATIO"] == part_cost.RATIO.mean
