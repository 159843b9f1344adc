"""Admission: all that it checks, all or nothing of what it takes, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

import pytest
from ledger_bench import Bench, Job

from ledger import fleet, jobs, keys, limits
from ledger.leases import Drop, Grant, Leases, Settlement, Wait


def test_a_grant_holds_the_example_and_what_was_reserved(bench: Bench) -> None:
    """A first grant tells the task's item, attempt 1, the expected tokens of a cold start and the most tokens."""
    job = bench.job(bench.model(tokens_per_minute=1e6), prompt_bytes=100, max_tokens=400)
    grant = job.granted()
    assert grant == Grant({"recipe": 0, "first": 0, "count": 1, "variables": {"n": 0}}, 1, 130, 400)


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
    """Whatever binds, the answer names it with a time above zero, and the ledger is as it was."""
    job = bench.job(bench.model(price=(1, 1)), units=2)
    binding(job)
    before = job.snapshot()
    for _ in range(3):
        reply = job.admit(1)
        assert isinstance(reply, Wait)
        assert reply.binds == binds
        assert reply.milliseconds > 0
    assert job.snapshot() == before


def test_twenty_clients_never_pass_the_concurrency_limit(bench: Bench) -> None:
    """Twenty workers at once on 200 tasks hold at most 7 calls between them, and every task is granted once."""
    job = bench.job(bench.model(concurrent_requests=7), units=200)
    held: set[int] = set()
    granted: list[int] = []
    most = 0

    async def work(name: str) -> None:
        nonlocal most
        leases = Leases(bench.url, name)
        for unit in range(200):
            token = f"{name}-{unit}"
            while isinstance(reply := await leases.admit(job.id, job.model.name, unit, token), Wait):
                assert reply.binds == "concurrent"
                # Others settle meanwhile; only their turn is needed, no time.
                await asyncio.sleep(0)
            if isinstance(reply, Grant):
                held.add(unit)
                granted.append(unit)
                most = max(most, len(held))
                await asyncio.sleep(0)
                held.discard(unit)
                settlement = accepted()
                assert await leases.settle(job.id, job.model.name, unit, token, settlement, {}, [{}]) == "settled"
        await leases.close()

    async def everyone() -> None:
        await asyncio.gather(*(work(f"w{n}") for n in range(20)))

    bench.run(everyone())
    assert most <= 7
    assert sorted(granted) == list(range(200))
    assert job.in_flight() == 0
    assert job.status().state == "complete"


def accepted() -> Settlement:
    return Settlement(outcome="accepted", accepted=1)


def test_one_process_may_ask_more_at_once_than_it_has_connections(bench: Bench) -> None:
    """Hundreds of tasks of one process that ask in the same moment are all answered: they queue for a connection."""
    job = bench.job(bench.model(), units=300)
    leases = bench.worker()

    async def all_at_once() -> list[Grant | Wait | Drop]:
        return await asyncio.gather(*(leases.admit(job.id, job.model.name, n, f"t{n}") for n in range(300)))

    assert all(isinstance(reply, Grant) for reply in bench.run(all_at_once()))
    assert job.in_flight() == 300


def test_a_real_stretch_of_time_holds_no_more_than_the_rate(bench: Bench) -> None:
    """At 1,200 requests a minute, about three seconds by the server's clock admit at most rate x time + burst."""
    limit, burst = 1200, 1200 * 0.5 / 60.5
    job = bench.job(bench.model(requests_per_minute=limit), units=500)
    units, granted = count(), 0
    workers = [bench.worker(f"w{n}") for n in range(5)]

    async def work(leases: Leases, until: float) -> None:
        nonlocal granted
        unit = next(units)
        while bench.now() < until:
            reply = await leases.admit(job.id, job.model.name, unit, f"t{unit}")
            if isinstance(reply, Grant):
                granted += 1
                unit = next(units)
            elif isinstance(reply, Wait):
                await asyncio.sleep(reply.milliseconds / 1000)

    async def everyone(until: float) -> None:
        await asyncio.gather(*(work(leases, until) for leases in workers))

    before = bench.now()
    bench.run(everyone(before + 3))
    seconds = bench.now() - before
    assert 0 < granted <= (limit - burst) / 60 * seconds + burst


def fullest_minute(times: list[float]) -> int:
    """The most admissions within less than a minute."""
    # A hundredth of a second for what passes between the server's stamp and our reading of its clock.
    return max(sum(time <= other < time + 59.99 for other in times) for time in times)


@pytest.mark.parametrize("limit", [1, 2.5, 7, 300])
def test_no_sixty_seconds_hold_more_requests_than_the_limit(bench: Bench, limit: float) -> None:
    """From a cold start on, no minute holds more than the limit, and no wait is longer than the rate asks for."""
    most = int(2 * limit) + 20
    job = bench.job(bench.model(requests_per_minute=limit), units=most)
    waited, times = 0.0, []
    for unit in range(most):
        waited += job.wait_for(unit)
        times.append(bench.now() + waited)
    assert fullest_minute(times) <= limit
    burst = max(limit * 0.5 / 60.5, 1)
    rate = max(limit - burst, limit / 2) / 60
    assert waited <= most / rate + most / 1000


def test_no_sixty_seconds_hold_more_tokens_than_the_limit(bench: Bench) -> None:
    """Where calls use what is expected of them, no minute holds more tokens than the limit."""
    limit, used = 60_000, 700
    job = bench.job(bench.model(tokens_per_minute=limit), units=220, max_tokens=1000)
    waited, times = 0.0, []
    for unit in range(220):
        waited += job.wait_for(unit)
        if unit:  # the first call is a guess
            times.append(bench.now() + waited)
        job.settle(unit, prompt_tokens=200, completion_tokens=500)
    assert fullest_minute(times) * used <= limit


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
    assert job.granted(1).expected_tokens == 250 + 600
    job.settle(1, prompt_tokens=350, completion_tokens=400)
    assert job.granted(2).expected_tokens == 300 + 500


def test_a_provider_that_reserves_is_counted_as_it_counts(bench: Bench) -> None:
    """Where the provider debits max_tokens at admission, so does the ledger, whatever calls have used."""
    model = bench.model(counting="reserved", tokens_per_minute=1e9)
    job = bench.job(model, units=2, prompt_bytes=1000, max_tokens=4000)
    assert job.granted(0).expected_tokens == 300 + 4000
    job.settle(0, prompt_tokens=250, completion_tokens=600)
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
