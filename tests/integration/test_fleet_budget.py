"""The fleet's budget: what all jobs together may spend in a day, to the nano-dollar, on real servers."""

from __future__ import annotations

import pytest
from ledger_bench import Bench, Job

from config.settings import settings
from ledger import budget, fleet, jobs, limits
from ledger.budget import Books
from ledger.leases import Drop, Grant, Wait

WORST = 10 * 3 + 100 * 7
"""Nano-dollars that a call of `a_job` can cost."""
NIGHT = 12 * 3600.0
"""Seconds until midnight, UTC, when a bench begins."""


def a_job(bench: Bench, units: int = 9, budget: int | None = None) -> Job:
    return bench.job(bench.model(price=(3, 7)), units, prompt_bytes=10, max_tokens=100, budget=budget)


def test_all_jobs_share_it_to_the_last_nano_dollar(bench: Bench) -> None:
    """Calls of any job and model are admitted while all in flight could cost the most and still fit."""
    one, two, three = (a_job(bench) for _ in range(3))
    budget.change(bench.redis, 3 * WORST + 1)
    for job in (one, two, three):
        job.granted(0)
    assert budget.read(bench.redis) == Books(3 * WORST + 1, 0, 3 * WORST, 0)
    for job in (one, two, three):
        assert job.admit(1) == Wait(100, "budget")
    one.settle(0, cost=WORST)
    assert two.admit(1) == Wait(100, "budget")
    two.settle(0, cost=WORST - 1)
    assert three.admit(1) == Wait(100, "budget")
    three.settle(0, cost=2)
    assert budget.read(bench.redis) == Books(3 * WORST + 1, 2 * WORST + 1, 0, 0)
    two.granted(1)
    assert one.admit(1) == Wait(100, "budget")


def test_a_job_rests_when_it_is_used_up(bench: Bench) -> None:
    """With no call in flight that could give money back, the job rests and its note says for what and until when."""
    job = a_job(bench)
    budget.change(bench.redis, WORST - 1)
    assert job.admit() == Drop("budget")
    assert job.status().state == "budget"
    note = job.status().note or ""
    assert note.startswith("the fleet's budget for the day (UTC) is used up; resume tomorrow")
    assert "genfleet limits --daily-budget" in note
    budget.change(bench.redis, WORST)
    jobs.set_state(bench.redis, job.id, "running")
    job.granted()
    assert job.status().note is None


def test_a_job_without_money_of_its_own_says_nothing_of_the_fleet(bench: Bench) -> None:
    """Where the job's own budget is used up, no note speaks of the fleet's."""
    job = a_job(bench, budget=WORST - 1)
    budget.change(bench.redis, 10 * WORST)
    assert job.admit() == Drop("budget")
    assert job.status().note is None


def test_both_budgets_bind(bench: Bench) -> None:
    """A job with money waits for the fleet's, a fleet with money does not help a job without."""
    rich, poor = a_job(bench), a_job(bench, budget=WORST)
    budget.change(bench.redis, 2 * WORST)
    rich.granted(0)
    poor.granted(0)
    assert poor.admit(1) == Wait(100, "budget")
    rich.settle(0, cost=0)
    assert poor.admit(1) == Wait(100, "budget")
    rich.granted(1)
    assert rich.admit(2) == Wait(100, "budget")
    poor.settle(0, cost=WORST)
    assert poor.admit(1) == Drop("budget")
    assert rich.admit(2) == Wait(100, "budget")


def test_whoever_waits_for_money_has_taken_nothing(bench: Bench) -> None:
    """A job that waits for the fleet's money holds no place before others, and none of its own is used up."""
    model = bench.model(price=(3, 7), requests_per_minute=6000.0)
    job = bench.job(model, 5, prompt_bytes=10, max_tokens=100)
    budget.change(bench.redis, WORST)
    job.granted(0)
    bench.advance(1)
    before = job.snapshot()
    for _ in range(5):
        assert job.admit(1) == Wait(100, "budget")
        bench.advance(0.1)
    assert job.snapshot() == before
    assert bench.places(model) == {}


def test_the_books_of_another_day_begin_anew(bench: Bench) -> None:
    """At midnight by the server's clock what was spent and what is unknown is of yesterday; what is reserved stays."""
    job = a_job(bench)
    budget.change(bench.redis, 3 * WORST)
    for unit in range(3):
        job.granted(unit)
    job.settle(0, cost=500)
    job.settle(1, outcome="again", cost=None)
    assert budget.read(bench.redis) == Books(3 * WORST, 500, WORST, WORST)
    bench.advance(NIGHT - 0.001)
    assert budget.read(bench.redis) == Books(3 * WORST, 500, WORST, WORST)
    assert job.admit(3) == Wait(100, "budget")
    bench.advance(0.001)
    assert budget.read(bench.redis) == Books(3 * WORST, 0, WORST, 0)
    job.granted(3)
    job.granted(4)
    assert job.admit(5) == Wait(100, "budget")
    assert budget.read(bench.redis) == Books(3 * WORST, 0, 3 * WORST, 0)
    assert job.money() == (500, 3 * WORST, WORST)


def test_a_call_is_booked_on_the_day_on_which_it_ends(bench: Bench) -> None:
    """What a call of before midnight costs is of the day of its answer; also where its worker was taken for dead."""
    job = a_job(bench)
    job.granted(0)
    job.granted(1, worker="slow")
    fleet.reap(bench.redis, "slow", now=True)
    assert budget.read(bench.redis) == Books(None, 0, WORST, WORST)
    bench.advance(NIGHT)
    job.settle(0, cost=40)
    assert budget.read(bench.redis) == Books(None, 40, 0, 0)
    assert job.settle(1, worker="slow", cost=2) == "settled"
    assert budget.read(bench.redis) == Books(None, 42, 0, 0)
    assert job.settle(1, worker="slow", cost=2) == "repeat"
    assert budget.read(bench.redis) == Books(None, 42, 0, 0)


def test_an_answer_that_turns_up_on_the_same_day_replaces_what_was_unknown(bench: Bench) -> None:
    """The cost takes the place of the reservation; a call that was never made gives it back."""
    job = a_job(bench)
    job.granted(0, worker="slow")
    job.granted(1, worker="slow")
    fleet.reap(bench.redis, "slow", now=True)
    job.settle(0, worker="slow", cost=9)
    assert budget.read(bench.redis) == Books(None, 9, 0, WORST)
    job.granted(1, worker="slow")
    assert budget.read(bench.redis) == Books(None, 9, WORST, 0)


def test_a_call_that_was_never_made_yesterday_gives_nothing_back_today(bench: Bench) -> None:
    """Its reservation was of yesterday's books."""
    job = a_job(bench)
    job.granted(0, worker="slow")
    fleet.reap(bench.redis, "slow", now=True)
    bench.advance(NIGHT)
    job.granted(1)
    job.settle(1, outcome="again", cost=None)
    assert budget.read(bench.redis) == Books(None, 0, 0, WORST)
    job.granted(0, worker="slow")
    assert budget.read(bench.redis) == Books(None, 0, WORST, WORST)


def test_lowering_it_ends_no_call(bench: Bench) -> None:
    """Calls in flight are settled, then nothing more is admitted until there is money again."""
    job = a_job(bench)
    job.granted(0)
    budget.change(bench.redis, 1)
    assert job.admit(1) == Wait(100, "budget")
    assert job.settle(0, cost=WORST) == "settled"
    assert job.admit(1) == Drop("budget")
    budget.change(bench.redis, None)
    jobs.set_state(bench.redis, job.id, "running")
    assert isinstance(job.admit(1), Grant)
    assert budget.read(bench.redis) == Books(None, WORST, WORST, 0)


def test_one_that_a_person_set_outlives_a_restart(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that declare the same environment change nothing; one that names another amount wins."""

    def declared(dollars: str) -> int | None:
        monkeypatch.setenv("GENFLEET_BUDGET_USD", dollars)
        settings.cache_clear()
        budget.declare(bench.redis)
        return budget.read(bench.redis).per_day

    assert declared("25") == 25 * 10**9
    budget.change(bench.redis, 7)
    assert declared("25") == 7
    assert declared("0.5") == 5 * 10**8


def test_without_one_nothing_binds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names none leaves what a person has set, and at first there is none."""
    monkeypatch.delenv("GENFLEET_BUDGET_USD", raising=False)
    settings.cache_clear()
    budget.declare(bench.redis)
    assert budget.read(bench.redis) == Books(None, 0, 0, 0)
    budget.change(bench.redis, 7)
    budget.declare(bench.redis)
    assert budget.read(bench.redis).per_day == 7


def test_a_provider_that_asks_more_than_its_price_is_believed(bench: Bench) -> None:
    """After a call that cost twice its worst case, so much is reserved for the next, whatever came in meanwhile."""
    job = a_job(bench)
    limits.change(bench.redis, job.model.name, {"concurrent_requests": 8})
    for unit in range(5):
        job.granted(unit)
    for unit in range(5):
        job.settle(unit, cost=2 * WORST)
    assert job.money() == (10 * WORST, 0, 0)
    job.granted(5)
    assert job.money() == (10 * WORST, 2 * WORST, 0)
    job.settle(5, cost=2 * WORST)
    job.granted(6)
    assert job.money() == (12 * WORST, 2 * WORST, 0)


def test_a_model_that_was_said_to_cost_nothing_is_reserved_for_when_it_does(bench: Bench) -> None:
    """A price of nothing that proves wrong is replaced by one that covers the call."""
    job = bench.job(bench.model(), 3, prompt_bytes=10, max_tokens=100)
    job.granted(0)
    job.settle(0, cost=1100)
    job.granted(1)
    assert job.money() == (1100, 1100, 0)
