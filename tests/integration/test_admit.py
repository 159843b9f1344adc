"""Admission: all that it checks, all or nothing of what it takes, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from ledger_bench import ADMIT, Bench, Job, fullest

from ledger import fleet, jobs, keys, limits
from ledger.leases import Drop, Grant, Wait


def test_a_grant_holds_the_example_and_what_was_reserved(bench: Bench) -> None:
    """A first grant tells the task's item, attempt 1, the tokens of a cold start, the most tokens and their prices."""
    job = bench.job(bench.model(price=(3, 7), tokens_per_minute=1e6), prompt_bytes=100, max_tokens=400)
    grant = job.granted()
    assert grant == Grant(
        {"recipe": 0, "first": 0, "count": 1, "variables": {"n": 0}}, 1, 130, 400, grant.incarnation, (3, 7)
    )


def test_asking_again_with_the_same_token_changes_nothing(bench: Bench) -> None:
    """A grant whose answer was lost on the way is given again word for word, and takes nothing again."""
    job = bench.job(bench.model(price=(1, 1), requests_per_minute=60, tokens_per_minute=1e6), units=2)
    first = job.granted(0)
    taken = job.snapshot()
    assert [job.admit(0) for _ in range(3)] == [first] * 3
    assert job.snapshot() == taken


def test_a_leased_example_is_dropped_for_others(bench: Bench) -> None:
    """One example has one lease: another token is turned away, from the same worker and from another."""
    job = bench.job(bench.model())
    job.granted(token="mine")
    taken = job.snapshot()
    assert job.admit(token="second") == Drop("leased")
    assert job.admit(token="second", worker="other") == Drop("leased")
    assert job.snapshot() == taken


def test_a_settled_example_is_dropped(bench: Bench) -> None:
    """The second delivery of a message whose example is settled ends quietly."""
    job = bench.job(bench.model(), units=2)
    job.granted(0)
    job.settle(0)
    assert job.admit(0, token="again") == Drop("settled")


@pytest.mark.parametrize("state", ["paused", "cancelled", "stopped", "budget"])
def test_only_running_jobs_are_admitted(bench: Bench, state: jobs.State) -> None:
    """A job that rests makes no calls, and the answer says why."""
    job = bench.job(bench.model())
    jobs.set_state(bench.redis, job.id, state)
    assert job.admit() == Drop(state)


def test_a_job_that_is_not_in_the_ledger_is_dropped(bench: Bench) -> None:
    """A message of a job that nobody knows any more ends quietly."""
    leases = bench.worker()
    assert isinstance(bench.run(leases.admit("gone", "m", 0, "t")), Drop)


def paused(job: Job) -> None:
    job.granted(0)
    job.settle(0, outcome="again", reason="rate_limited", retry_after_ms=60_000)


def full(job: Job) -> None:
    limits.change(job.bench.redis, job.model.name, {"concurrent_requests": 1})
    job.granted(0)


def out_of_requests(job: Job) -> None:
    limits.change(job.bench.redis, job.model.name, {"requests_per_minute": 1.0})
    job.granted(0)


def out_of_tokens(job: Job) -> None:
    limits.change(job.bench.redis, job.model.name, {"tokens_per_minute": 1.0})
    job.granted(0)


def out_of_money(job: Job) -> None:
    jobs.set_budget(job.bench.redis, job.id, 999)
    job.granted(0)


@pytest.mark.parametrize(
    ("binding", "binds"),
    [
        (paused, "pause"),
        (full, "concurrent"),
        (out_of_requests, "requests"),
        (out_of_tokens, "tokens"),
        (out_of_money, "budget"),
    ],
)
def test_whoever_waits_has_taken_nothing(bench: Bench, binding: Callable[[Job], None], binds: str) -> None:
    """Whatever binds, the answer names it with a time above zero, and all but its place in line is as it was."""
    job = bench.job(bench.model(price=(1, 1)), units=2)
    binding(job)
    before = taken(job)
    places = []
    for _ in range(3):
        reply = job.waits(1)
        assert reply.binds == binds
        assert 0 < reply.milliseconds <= 1000
        assert taken(job) == before
        places.append(bench.places(job.model))
    assert places[0] == places[1] == places[2]
    assert len(places[0]) == (binds != "budget")


def taken(job: Job) -> dict[str, Any]:
    """All that the ledger keeps of the job and its model, but whose turn it is and what was waited for."""
    kept = job.snapshot()
    for name in (keys.job(job.id), keys.model(job.model.name)):
        kept[name] = {k: v for k, v in kept[name].items() if k != b"turn" and not k.startswith(b"waited_")}
    return kept


@pytest.mark.parametrize("binding", [paused, full, out_of_requests, out_of_tokens])
def test_asking_often_is_not_asking_more(bench: Bench, binding: Callable[[Job], None]) -> None:
    """A line that asks again keeps the turn that it took when it first asked."""
    job = bench.job(bench.model(), units=2)
    binding(job)
    job.waits(1)
    turn = bench.redis.hget(keys.job(job.id), "turn")
    for _ in range(10):
        bench.advance(0.01)
        job.waits(1)
    assert bench.redis.hget(keys.job(job.id), "turn") == turn


def test_what_lines_wait_for_is_counted(bench: Bench) -> None:
    """The milliseconds that lines were told to wait are summed by what bound."""
    job = bench.job(bench.model(requests_per_minute=60.0), units=3)
    job.granted(0)
    told = [job.waits(1).milliseconds, job.waits(1).milliseconds]
    assert int(bench.redis.hget(keys.model(job.model.name), "waited_requests")) == sum(told)


def test_one_process_may_ask_more_at_once_than_it_has_connections(bench: Bench) -> None:
    """Hundreds of tasks of one process that ask in the same moment are all answered: they queue for a connection."""
    job = bench.job(bench.model(), units=300)
    leases = bench.worker()

    async def all_at_once() -> list[Grant | Wait | Drop]:
        return await asyncio.gather(*(leases.admit(job.id, job.model.name, n, f"t{n}") for n in range(300)))

    assert all(isinstance(reply, Grant) for reply in bench.run(all_at_once()))
    assert job.in_flight() == 300


@pytest.mark.parametrize("limit", [0.5, 1, 2.5, 7, 300])
def test_a_line_is_admitted_at_the_limit(bench: Bench, limit: float) -> None:
    """From a cold start on no minute holds more than the limit, and no wait is longer than that asks for."""
    most = int(2 * limit) + 8
    job = bench.job(bench.model(requests_per_minute=limit), units=most)
    times = []
    for unit in range(most):
        job.wait_for(unit)
        times.append(bench.now())
    assert fullest(times, [1.0] * most, 60) <= max(1, limit)
    # A limit that is no whole number is kept by a whole number of calls in any minute.
    pace = limit if limit < 1 else int(limit)
    assert times[-1] - times[0] <= (most - 1) * (ADMIT["WINDOW"] + 0.2) / pace + 0.001 * most


def test_a_line_is_admitted_at_the_limit_of_tokens(bench: Bench) -> None:
    """Where calls use what is expected of them, no minute holds more tokens than the limit, and hardly less."""
    limit, used = 60_000, 700
    job = bench.job(bench.model(tokens_per_minute=limit), units=220, max_tokens=1000)
    times = []
    for unit in range(220):
        job.wait_for(unit)
        times.append(bench.now())
        job.settle(unit, prompt_tokens=200, completion_tokens=500)
    # The first call is a guess.
    assert fullest(times[1:], [used] * 219, 60) <= limit
    assert times[-1] - times[1] <= 218 * used * 60 / limit * 1.025


def test_a_call_larger_than_the_limit_waits_and_is_made(bench: Bench) -> None:
    """A call that is expected to use more than a minute's tokens is not turned away for ever."""
    job = bench.job(bench.model(tokens_per_minute=100), units=2, max_tokens=4000)
    job.wait_for(0)
    job.settle(0, prompt_tokens=30, completion_tokens=1000)
    assert job.wait_for(1) > 60


def test_what_a_call_will_use_is_learned(bench: Bench) -> None:
    """A cold start expects 0.3 tokens per byte and a quarter of max_tokens; then the mean of what was used."""
    job = bench.job(bench.model(tokens_per_minute=1e9), units=3, prompt_bytes=1000, max_tokens=4000)
    assert job.granted(0).expected_tokens == 300 + 1000
    job.settle(0, prompt_tokens=250, completion_tokens=600)
    bench.advance(1)
    assert job.granted(1).expected_tokens == 250 + 600
    job.settle(1, prompt_tokens=350, completion_tokens=400)
    bench.advance(1)
    assert job.granted(2).expected_tokens == 300 + 500


def test_a_provider_that_reserves_is_counted_as_it_counts(bench: Bench) -> None:
    """Where the provider debits max_tokens at admission, so does the ledger, whatever calls have used."""
    model = bench.model(counting="reserved", tokens_per_minute=1e9)
    job = bench.job(model, units=2, prompt_bytes=1000, max_tokens=4000)
    assert job.granted(0).expected_tokens == 300 + 4000
    job.settle(0, prompt_tokens=250, completion_tokens=600)
    bench.advance(1)
    assert job.granted(1).expected_tokens == 250 + 4000


def test_the_budget_holds_in_the_worst_case(bench: Bench) -> None:
    """Calls are admitted while all in flight could cost the most and still fit, to the last nano-dollar."""
    job = bench.job(bench.model(price=(3, 7)), units=5, prompt_bytes=10, max_tokens=100, budget=3 * 730)
    for unit in range(3):
        job.granted(unit)
    assert job.money() == (0, 2190, 0)
    assert job.admit(3) == Wait(100, "budget")
    assert job.settle(0, cost=730) == "settled"
    assert job.admit(3) == Wait(100, "budget")
    job.settle(1, cost=0)
    job.granted(3)
    assert job.money() == (730, 1460, 0)


def test_one_nano_dollar_too_little_is_too_little(bench: Bench) -> None:
    """A budget one nano-dollar short of a call's worst case admits none, and the job rests for its budget."""
    job = bench.job(bench.model(price=(3, 7)), prompt_bytes=10, max_tokens=100, budget=729)
    assert job.admit() == Drop("budget")
    assert job.status().state == "budget"
    jobs.set_budget(bench.redis, job.id, 730)
    jobs.set_state(bench.redis, job.id, "running")
    job.granted()


def test_money_that_is_unknown_counts_against_the_budget(bench: Bench) -> None:
    """What a lost call may have cost stays charged until its answer turns up."""
    job = bench.job(bench.model(price=(3, 7)), units=2, prompt_bytes=10, max_tokens=100, budget=730)
    job.granted(0)
    job.settle(0, outcome="again", cost=None)
    assert job.admit(1) == Drop("budget")


def test_large_sums_are_exact(bench: Bench) -> None:
    """Sums of thousands of dollars are added, compared and corrected to the nano-dollar."""
    worst = 400 * 2_500_000_001 + 100 * 7
    spent = [999_999_999_999, 1_000_000_000_001, 123_456_789_013, worst, 0, 1]
    budget = sum(spent) + worst
    job = bench.job(bench.model(price=(7, 2_500_000_001)), units=8, budget=budget)
    total = 0
    for unit, cost in enumerate(spent):
        job.granted(unit)
        assert job.money() == (total, worst, 0)
        job.settle(unit, cost=cost)
        total += cost
    assert job.money() == (total, 0, 0)
    job.granted(6)
    assert job.admit(7) == Wait(100, "budget")
    job.settle(6, outcome="again", cost=None)
    assert job.money() == (total, 0, worst)
    assert job.admit(7) == Drop("budget")
    jobs.set_budget(bench.redis, job.id, budget + worst - 1)
    jobs.set_state(bench.redis, job.id, "running")
    assert job.admit(7) == Drop("budget")
    jobs.set_budget(bench.redis, job.id, budget + worst)
    jobs.set_state(bench.redis, job.id, "running")
    job.granted(7)


def test_a_server_that_forgot_the_scripts_is_taught_them_again(bench: Bench) -> None:
    """A restarted server, or a flushed script cache, costs a round trip and no error."""
    job = bench.job(bench.model(), units=2)
    bench.redis.script_flush()
    job.granted(0)
    bench.redis.script_flush()
    assert job.settle(0) == "settled"
    job.granted(1)
    bench.redis.script_flush()
    bench.redis.sadd(keys.WORKERS, "w")
    assert fleet.reap(bench.redis, "w", now=True) == [(job.id, 1)]


def test_of_a_provider_that_reserves_is_asked_what_calls_need(bench: Bench) -> None:
    """Once 40 calls are known, max_tokens is a quarter above what 99 of 100 needed; a second attempt gets all of it."""
    model = bench.model(counting="reserved", price=(0, 1))
    job = bench.job(model, units=42, max_tokens=4000)
    for unit in range(40):
        assert job.granted(unit).max_tokens == 4000
        job.settle(unit, prompt_tokens=25, completion_tokens=500)
    first = job.granted(40, "first")
    assert 500 * 1.25 <= first.max_tokens <= 500 * 2**0.25 * 1.25 + 1
    assert job.money()[1] == first.max_tokens
    assert job.granted(40, "first") == first
    job.settle(40, "first", outcome="again", reason="cut_short", prompt_tokens=25, completion_tokens=first.max_tokens)
    assert job.granted(40, "second").max_tokens == 4000


def test_one_long_answer_in_fifty_is_not_cut(bench: Bench) -> None:
    """What one call in fifty needs is within the 99 of 100 that max_tokens is made for."""
    job = bench.job(bench.model(counting="reserved"), units=101, max_tokens=8000)
    for unit in range(100):
        job.granted(unit)
        job.settle(unit, prompt_tokens=25, completion_tokens=3000 if unit % 50 == 7 else 500)
    assert job.granted(100).max_tokens >= 3000
