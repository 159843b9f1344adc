"""Jobs of one model share it by their weights, whichever limit binds, and nobody is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from ledger_bench import ADMIT, Bench, Job
from ledger_simulation import Fleet, Made, lognormal

from ledger import jobs, keys
from ledger.leases import Grant

SMALL, LARGE = (100, 100), (500, 1500)
"""Prompt and completion tokens of two recipes' calls."""
Sizes = tuple[int, int]
Start = Callable[..., Job]


@contextmanager
def fleet_of(bench: Bench, **limits: Any) -> Iterator[tuple[Fleet, Start]]:
    """A fleet for one model, and what makes a job of it: its weight, sizes, and the workers that work on it."""
    model = bench.model(**limits)
    with Fleet(bench) as fleet:

        def start(weight: float = 1, sizes: Sizes = SMALL, latency: float = 2.0, workers: int = 2) -> Job:
            recipe = f"quiz_{sizes[1]}"
            prompt_bytes = round(sizes[0] / ADMIT["COLD_RATIO"])
            job = bench.job(model, 2000, prompt_bytes=prompt_bytes, max_tokens=4 * sizes[1], recipe=recipe)
            jobs.set_weight(bench.redis, job.id, weight)
            fleet.work_on(job, sizes, lognormal(latency, 0.3))
            for number in range(workers):
                fleet.start(f"w{number}", job, 20)
            return job

        yield fleet, start


def used(made: list[Made], job: Job, *, tokens: bool) -> float:
    """What the job's calls have cost."""
    return sum(call.tokens if tokens else 1 for call in made if call.job == job.id)


REQUESTS: dict[str, Any] = {"requests_per_minute": 240}
TOKENS: dict[str, Any] = {"tokens_per_minute": 160_000}
SLOTS: dict[str, Any] = {"concurrent_requests": 8}


@pytest.mark.parametrize(
    ("limits", "weights", "sizes"),
    [
        (REQUESTS, (1, 3), (SMALL, SMALL)),
        (REQUESTS, (1, 100), (SMALL, LARGE)),
        (REQUESTS, (1, 3, 6), (SMALL, SMALL, SMALL)),
        (TOKENS, (1, 3), (SMALL, LARGE)),
        (TOKENS, (3, 1), (SMALL, LARGE)),
        (TOKENS, (1, 100), (SMALL, LARGE)),
        (SLOTS, (1, 3), (SMALL, LARGE)),
        (SLOTS, (1, 100), (SMALL, SMALL)),
        (SLOTS, (2, 3, 3), (SMALL, SMALL, SMALL)),
    ],
)
def test_a_minute_is_shared_by_weight(
    bench: Bench, limits: dict[str, Any], weights: tuple[float, ...], sizes: tuple[Sizes, ...]
) -> None:
    """Within a tenth, or a call more or less; where tokens bind, by tokens and not by calls."""
    tokens = limits is TOKENS
    with fleet_of(bench, **limits) as (fleet, start):
        made = [start(weight, size) for weight, size in zip(weights, sizes, strict=True)]
        fleet.run(75)
        calls = [call for call in fleet.made if call.at >= fleet.now() - 60]
    total = sum(used(calls, job, tokens=tokens) for job in made)
    for job, weight, size in zip(made, weights, sizes, strict=True):
        share = total * weight / sum(weights)
        one = sum(size) if tokens else 1
        assert used(calls, job, tokens=tokens) == pytest.approx(share, abs=max(0.1 * share, 1.01 * one))
        assert used(calls, job, tokens=tokens) > 0


@pytest.mark.parametrize("limits", [REQUESTS, TOKENS, SLOTS])
def test_an_urgent_job_that_comes_late_is_served_at_once(bench: Bench, limits: dict[str, Any]) -> None:
    """However many wait, the first call of a job of weight 100 is the next, or the next but one."""
    urgent: list[Job] = []
    with fleet_of(bench, **limits) as (fleet, start):
        start(), start()
        begin = fleet.now()
        fleet.run(90, (60.3, lambda: urgent.append(start(100))))
    came = begin + 60.3
    first = min(call.at for call in fleet.made if call.job == urgent[0].id)
    assert sum(came < call.at < first for call in fleet.made) <= 1
    after = [call for call in fleet.made if first <= call.at < first + 20]
    assert used(after, urgent[0], tokens=False) >= 0.9 * len(after)


def test_a_job_that_was_idle_has_saved_up_nothing(bench: Bench) -> None:
    """A job that comes after another has worked for minutes gets its share from then on, not what it has missed."""
    late: list[Job] = []
    with fleet_of(bench, **REQUESTS) as (fleet, start):
        start()
        begin = fleet.now()
        fleet.run(180, (120, lambda: late.append(start())))
    calls = [call for call in fleet.made if call.at >= begin + 120]
    assert used(calls, late[0], tokens=False) == pytest.approx(len(calls) / 2, rel=0.05)


def test_nobody_starves(bench: Bench) -> None:
    """Of ten jobs on three workers each has its turn in every round."""
    with fleet_of(bench, requests_per_minute=600) as (fleet, start):
        made = [start(workers=3) for _ in range(10)]
        fleet.run(60)
    for job in made:
        at = [call.at for call in fleet.made if call.job == job.id]
        assert len(at) >= 0.95 * len(fleet.made) / 10
        # Ten jobs at almost ten calls a second: about a second, and those of the first moment are no round yet.
        assert max(after - before for before, after in pairwise(at[1:])) <= 2.5


def test_a_large_call_among_small_ones_is_made(bench: Bench) -> None:
    """Tokens are kept free for whoever's turn it is, so that small calls do not take them from under a large one."""
    with fleet_of(bench, tokens_per_minute=60_000) as (fleet, start):
        start()
        large = start(sizes=(3000, 3000), workers=1)
        fleet.run(300)
    at = [call.at for call in fleet.made if call.job == large.id]
    # Half of the limit is five such calls a minute.
    assert len(at) >= 20
    assert max(after - before for before, after in pairwise(at)) <= 40


def test_a_higher_weight_is_felt_within_seconds(bench: Bench) -> None:
    """From the next turn on a job of the same weight as another is served a hundred times as often."""
    with fleet_of(bench, **REQUESTS) as (fleet, start):
        one, _ = start(), start()
        begin = fleet.now()
        fleet.run(90, (60, lambda: jobs.set_weight(bench.redis, one.id, 100)))
    after = [call for call in fleet.made if call.at >= begin + 65]
    assert used(after, one, tokens=False) >= 0.95 * len(after)


def test_a_weight_that_was_small_is_felt_within_seconds(bench: Bench) -> None:
    """A job that was to be done in the background and is wanted now is served now."""
    with fleet_of(bench, **REQUESTS) as (fleet, start):
        one, _ = start(0.01), start()
        begin = fleet.now()
        fleet.run(90, (60, lambda: jobs.set_weight(bench.redis, one.id, 100)))
    after = [call for call in fleet.made if call.at >= begin + 65]
    assert used(after, one, tokens=False) >= 0.9 * len(after)


@pytest.mark.parametrize("limits", [REQUESTS, TOKENS, SLOTS])
def test_a_worker_that_dies_leaves_its_place(bench: Bench, limits: dict[str, Any]) -> None:
    """What was kept free for the lines of a dead worker goes to others when these should have asked again."""
    with fleet_of(bench, **limits) as (fleet, start):
        dying, other = start(100), start(workers=3)
        for task in fleet.workers["w2"].tasks[20:]:
            task.cancel()
        fleet.run(60)
        for worker in ("w0", "w1"):
            fleet.kill(worker)
        died = fleet.now()
        fleet.run(10)
    longest = (ADMIT["LONGEST"] + ADMIT["GRACE"] / 1000) / 1000
    after = [call.at for call in fleet.made if call.at > died and call.job == other.id]
    assert not [call for call in fleet.made if call.at > died and call.job == dying.id]
    if limits is not SLOTS:  # the dead one's slots are free when it is found dead
        assert min(after) <= died + longest + 1
        assert len([at for at in after if at > died + longest + 1]) >= 3 * (10 - longest - 2)


@pytest.mark.parametrize("binds", ["requests", "tokens", "concurrent"])
def test_a_line_that_never_asks_again_holds_nobody_back_for_longer_than_its_grace(bench: Bench, binds: str) -> None:
    """Its place is kept until it should have asked, and for the grace; not a millisecond longer."""
    limits: dict[str, Any] = {
        "requests": {"requests_per_minute": 60},
        "tokens": {"tokens_per_minute": 60 * 130},
        "concurrent": {"concurrent_requests": 2},
    }[binds]
    model = bench.model(**limits)
    gone, other = bench.job(model, 3), bench.job(model, 3)
    other.granted(0, worker="x")
    if binds == "concurrent":
        gone.granted(1, worker="w")
    told = gone.waits(0, worker="w")
    assert told.binds == binds
    jobs.set_weight(bench.redis, other.id, 0.001)
    other.waits(1, worker="x")
    if binds == "concurrent":
        gone.settle(1, worker="w")
    left = told.milliseconds + round(ADMIT["GRACE"] / 1000)
    bench.advance(left / 1000)
    if binds == "concurrent":
        # Of two slots one is free, which the line that is gone had the right to.
        other.waits(1, worker="x")
    bench.advance(0.001)
    waited = 0.0
    while not isinstance(other.admit(1, worker="x"), Grant):
        bench.advance(0.01)
        waited += 0.01
    # Then the other goes by the limit alone.
    assert waited <= (0.5 if binds == "concurrent" else 1.1)
    assert f"w {gone.id}" not in bench.places(model)


def test_a_free_slot_goes_to_whoever_of_a_job_asks_first(bench: Bench) -> None:
    """For another worker of the same job no slot is kept: it would stay empty until that one asks."""
    job = bench.job(bench.model(concurrent_requests=1), 3)
    job.granted(0)
    job.waits(1, worker="early")
    job.waits(2, worker="late")
    job.settle(0)
    job.granted(2, worker="late")


def test_a_slot_is_kept_for_another_job_whose_turn_it_is(bench: Bench) -> None:
    """Of two jobs that wait for a slot, the one whose turn is later leaves it to the other."""
    model = bench.model(concurrent_requests=1)
    one, two = bench.job(model, 3), bench.job(model, 3)
    one.granted(0)
    two.waits(0)
    one.waits(1)
    one.settle(0)
    assert one.waits(1).binds == "concurrent"
    two.granted(0)
    two.settle(0)
    one.granted(1)


def test_who_has_no_money_holds_nobody_back(bench: Bench) -> None:
    """A job whose budget is used up for now keeps no place, however early its turn would be."""
    model = bench.model(price=(1, 1), requests_per_minute=60)
    poor, rich = bench.job(model, 3, budget=500), bench.job(model, 3)
    poor.granted(0)
    bench.advance(2)
    assert poor.waits(1).binds == "budget"
    rich.granted(0)
    assert bench.places(model) == {}


def test_waiting_for_money_costs_no_turn(bench: Bench) -> None:
    """However often a job asks that has no money for now, its turn is as early afterwards as it was."""
    model = bench.model(price=(1, 1), requests_per_minute=60)
    poor = bench.job(model, 3, budget=500)
    poor.granted(0)
    bench.advance(2)
    turn = bench.redis.hget(keys.job(poor.id), "turn")
    for _ in range(20):
        assert poor.waits(1).binds == "budget"
    assert bench.redis.hget(keys.job(poor.id), "turn") == turn
