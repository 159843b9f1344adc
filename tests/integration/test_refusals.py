"""What a 429 teaches: a pause for all, one cut for an episode, and where the provider's limit really is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from ledger_bench import MICROSECONDS, Bench, Job, constants
from ledger_simulation import Fleet, Provider, lognormal

from config.models import Model
from ledger import keys, limits
from ledger.leases import Grant, Wait

LEARN = constants("settle")
SETTLES = LEARN["SETTLES"] / MICROSECONDS
"""Seconds after a cut in which refusals still belong to it."""


def fast(bench: Bench, units: int = 60, **limits: Any) -> Job:
    """A job of a model whose limit is high enough for a call in every hundredth of a second, where it has one."""
    job = bench.job(bench.model(**({"requests_per_minute": 20_000.0} | limits)), units)
    bench.advance(1)
    return job


def admitted(job: Job, units: range, every: float = 0.01) -> None:
    """Calls that are under way, one after the other."""
    for unit in units:
        job.granted(unit, f"c{unit}")
        job.bench.advance(every)


def refuse(job: Job, unit: int, told_ms: int = 1) -> None:
    assert job.settle(unit, f"c{unit}", outcome="again", reason="rate_limited", retry_after_ms=told_ms) == "settled"


def succeed(job: Job, unit: int) -> None:
    job.settle(unit, f"c{unit}", prompt_tokens=30, completion_tokens=100)


# The pause


def test_a_refusal_that_tells_no_time_pauses_for_twice_as_long_each_time(bench: Bench) -> None:
    """From a short pause to the longest, as long as nothing has come through; a success begins anew."""
    job = fast(bench, 40)
    pauses = []
    for unit in range(12):
        job.granted(unit, f"c{unit}")
        bench.advance(0.01)
        refuse(job, unit, 0)
        pauses.append(paused(job))
        bench.advance(pauses[-1])
    assert pauses[1] == pytest.approx(2 * pauses[0])
    assert all(after == min(2 * before, pauses[-1]) for before, after in pairwise(pauses))
    assert pauses[-1] == LEARN["LONGEST_PAUSE"]
    job.granted(20, "c20")
    succeed(job, 20)
    job.granted(21, "c21")
    bench.advance(0.01)
    refuse(job, 21, 0)
    assert paused(job) == pauses[0]


def paused(job: Job) -> float:
    """Seconds for which the model is left alone."""
    until = int(job.bench.redis.hget(keys.model(job.model.name), "pause"))
    return (until - job.bench.at) / MICROSECONDS


def test_calls_that_were_under_way_when_it_began_do_not_lengthen_the_pause(bench: Bench) -> None:
    """Ten refusals of one moment are one reason to wait, not ten."""
    job = fast(bench)
    admitted(job, range(10))
    refuse(job, 0, 0)
    first = paused(job)
    for unit in range(1, 10):
        refuse(job, unit, 0)
        assert paused(job) == first


def test_everyone_waits_out_the_pause(bench: Bench) -> None:
    """Lines of all workers and jobs, also one that was promised a call; afterwards the pace is as before."""
    job = fast(bench)
    other = bench.job(job.model, 5)
    admitted(job, range(3))
    grant = job.granted(3, "c3", worker="x", more=True)
    assert grant.then is None or grant.then.binds == "requests"
    refuse(job, 0, 1500)
    for line in (job, other):
        for worker in ("w", "x"):
            assert line.admit(4, worker=worker) == Wait(1000, "pause")
    bench.advance(1.4)
    assert job.admit(4, worker="x") == Wait(100, "pause")
    bench.advance(0.1)
    job.granted(4, worker="x")


# The cut


def test_an_episode_is_one_cut(bench: Bench) -> None:
    """However many calls meet the same wall, or come shortly after it, the rate is cut once; later it is cut again."""
    job = fast(bench)
    admitted(job, range(40))
    refuse(job, 39)
    share = bench.share(job.model)
    assert share < 1
    bench.advance(SETTLES / 2)
    job.granted(40, "c40")
    refuse(job, 40)
    assert bench.share(job.model) == pytest.approx(share, rel=0.02)
    bench.advance(SETTLES)
    admitted(job, range(41, 50))
    before = bench.share(job.model)
    refuse(job, 49)
    assert bench.share(job.model) < before
    assert limits.use(bench.redis, job.model.name).refused == 3


def test_all_that_met_the_same_wall_tell_what_it_let_through(bench: Bench) -> None:
    """Of 30 calls under way 20 are refused, one after the other: the cut is to what 10 are, not 29."""
    job = fast(bench)
    admitted(job, range(30))
    shares = []
    for unit in range(29, 9, -1):
        refuse(job, unit)
        shares.append(bench.share(job.model))
    assert shares == pytest.approx([shares[0] * through / 29 for through in range(29, 9, -1)])


def test_a_refusal_that_is_settled_twice_counts_once(bench: Bench) -> None:
    """A settlement that is sent again lengthens no pause and cuts nothing."""
    job = fast(bench)
    admitted(job, range(5))
    refuse(job, 4)
    before = job.snapshot()
    figures: dict[str, Any] = {"outcome": "again", "reason": "rate_limited", "retry_after_ms": 60_000}
    assert job.settle(4, "c4", **figures) == "repeat"
    assert job.snapshot() == before


def test_a_wall_that_lets_nothing_through_is_no_limit(bench: Bench) -> None:
    """Where the only call of a minute is refused there is nothing to learn a rate from."""
    job = fast(bench)
    job.granted(0, "c0")
    refuse(job, 0)
    bench.advance(1)
    job.granted(1)
    assert bench.share(job.model) == 1


@pytest.mark.parametrize("hours", [0.05, 0.15, 1, 30])
def test_a_refusal_may_come_late(bench: Bench, hours: float) -> None:
    """A call that is refused long after anyone has asked is settled like any other, and cuts nothing."""
    job = fast(bench)
    admitted(job, range(5))
    bench.advance(hours * 3600)
    refuse(job, 0)
    assert bench.share(job.model) == 1
    assert job.in_flight() == 4
    bench.advance(1)
    job.granted(10)


def test_a_pause_proves_nothing(bench: Bench) -> None:
    """A long Retry-After wins nothing back of what a refusal has cut."""
    job = fast(bench)
    admitted(job, range(20))
    refuse(job, 19, 300_000)
    cut = bench.share(job.model)
    assert cut < 1
    bench.advance(300)
    admitted(job, range(20, 30))
    assert bench.share(job.model) == pytest.approx(cut, rel=0.01)


def test_what_was_cut_is_won_back_by_use(bench: Bench) -> None:
    """Without refusals the share grows with every call until it is the declared limit, and stays there."""
    job = fast(bench, 1000)
    admitted(job, range(20))
    refuse(job, 19)
    bench.advance(SETTLES)
    shares = [bench.share(job.model)]
    for unit in range(20, 1000):
        bench.advance(0.15)
        job.granted(unit, f"c{unit}")
        shares.append(bench.share(job.model))
    assert all(before <= after for before, after in pairwise(shares))
    assert shares[0] < 1
    assert shares[-1] == 1


def test_time_without_calls_wins_nothing_back(bench: Bench) -> None:
    """An idle hour is no sign that the provider would take more."""
    job = fast(bench)
    admitted(job, range(20))
    refuse(job, 19)
    cut = bench.share(job.model)
    bench.advance(3600)
    job.granted(20)
    job.granted(21)
    assert bench.share(job.model) == pytest.approx(cut, rel=0.01)


# Where no limit is known


def without_limits(bench: Bench) -> Job:
    return bench.job(bench.model(), 5_000)


def test_a_limit_that_nobody_has_named_is_guessed(bench: Bench) -> None:
    """The first refusal makes the rate of before a limit; what it was is told."""
    job = without_limits(bench)
    assert limits.use(bench.redis, job.model.name).guessed is None
    admitted(job, range(100), every=0.1)
    refuse(job, 99)
    guessed = limits.use(bench.redis, job.model.name).guessed
    assert guessed == pytest.approx(600, rel=0.05)


def named_by_a_person(model: Model, bench: Bench, job: Job) -> None:
    limits.change(bench.redis, model.name, {"requests_per_minute": 60_000.0})


def named_by_the_provider(model: Model, bench: Bench, job: Job) -> None:
    job.settle(0, "c0", told_rpm=60_000.0)


@pytest.mark.parametrize("named", [named_by_a_person, named_by_the_provider])
def test_a_limit_that_is_named_takes_the_place_of_a_guess(bench: Bench, named: Callable[..., None]) -> None:
    """Who knows the limit need not guess it: after an idle minute half a second of it may be used at once."""
    job = without_limits(bench)
    admitted(job, range(100), every=0.1)
    refuse(job, 99)
    bench.advance(61)
    named(job.model, bench, job)
    job.granted(200)
    bench.advance(61)
    granted = 0
    while isinstance(job.admit(300 + granted), Grant):
        granted += 1
    assert granted > 100


def test_a_guess_that_was_too_low_grows(bench: Bench) -> None:
    """One chance refusal at a quiet time does not hold an unlimited model to the rate of that time for ever."""
    job = without_limits(bench)
    with Fleet(bench) as fleet:
        fleet.work_on(job, (30, 100), 1.0)
        fleet.start("w0", job, 6)
        fleet.run(10)
        fleet.provider.chance = 1.0
        fleet.run(1.5)
        fleet.provider.chance = 0.0
        fleet.run(10)
        fleet.start("w1", job, 30)
        fleet.run(100)
        rate = sum(call.at >= fleet.now() - 10 for call in fleet.made) / 10
    guessed = limits.use(bench.redis, job.model.name).guessed or 0
    assert guessed == pytest.approx(360, rel=0.4)
    assert 60 * rate >= 2 * guessed


# Against a provider


REAL = 600.0
"""Requests per minute that the provider lets through."""


def against(bench: Bench, provider: Provider, **declared: Any) -> tuple[Fleet, Job]:
    """A fleet of four workers with more to do than the provider takes."""
    job = bench.job(bench.model(**declared), 4500)
    fleet = Fleet(bench, provider)
    fleet.work_on(job, (30, 100), lognormal(1.0, 0.3))
    for number in range(4):
        fleet.start(f"w{number}", job, 20)
    return fleet, job


def used_and_refused(fleet: Fleet, what: str, seconds: float, rate: float = REAL) -> tuple[float, float]:
    """Of the last seconds: the share of the provider's limit that was used, and that of calls that were refused."""
    calls = [call for call in fleet.made if call.at >= fleet.now() - seconds]
    refused = sum(call.refused for call in calls)
    used = (len(calls) - refused) / (rate * seconds / 60)
    print(f"{what}: {used:.1%} used, {refused / len(calls):.2%} refused of the last {seconds:g} s")
    return used, refused / len(calls)


@pytest.mark.parametrize(
    ("depth", "declared", "retry_after"),
    [
        (1, {"requests_per_minute": 2 * REAL}, None),
        (10, {"requests_per_minute": 2 * REAL}, None),
        (10, {"requests_per_minute": 2 * REAL}, 0.0),
        (1, {"tokens_per_minute": 2 * REAL * 130}, None),
        (1, {}, None),
    ],
)
def test_the_real_limit_is_found(
    bench: Bench, depth: float, declared: dict[str, Any], retry_after: float | None
) -> None:
    """Declared twice too high, or not at all: within a minute nine tenths are used with hardly a refusal."""
    kind = "tokens_per_minute" if "tokens_per_minute" in declared else "requests_per_minute"
    real = {kind: REAL * (130 if kind == "tokens_per_minute" else 1)}
    fleet, _ = against(bench, Provider(depth, retry_after=retry_after, **real), **declared)
    with fleet:
        fleet.run(60)
        fleet.run(75)
        used, refused = used_and_refused(fleet, f"{declared}, depth {depth} s, Retry-After {retry_after}", 75)
    assert used >= 0.9
    assert refused < 0.015


def test_a_limit_that_is_right_is_never_refused(bench: Bench) -> None:
    """Where the declared limit is the provider's, even one that allows no burst beyond a second refuses nothing."""
    fleet, _ = against(bench, Provider(1, requests_per_minute=REAL), requests_per_minute=REAL)
    with fleet:
        fleet.run(90)
        used, refused = used_and_refused(fleet, "declared as it is", 60)
    assert (used >= 0.97, refused) == (True, 0)


def test_a_limit_that_falls_and_returns_is_followed(bench: Bench) -> None:
    """Within a minute of each change nine tenths of what the provider allows is used, with hardly a refusal."""
    fleet, _ = against(bench, Provider(1, requests_per_minute=REAL), requests_per_minute=REAL)
    with fleet:
        fleet.run(20)
        fleet.provider.change(fleet.now(), requests_per_minute=REAL / 2)
        fleet.run(60)
        fleet.run(60)
        used, refused = used_and_refused(fleet, "fallen to half", 60, REAL / 2)
        assert used >= 0.9
        assert refused < 0.015
        fleet.provider.change(fleet.now(), requests_per_minute=REAL)
        fleet.run(60)
        fleet.run(30)
        used, refused = used_and_refused(fleet, "returned", 30)
        assert used >= 0.9
        assert refused < 0.01


@pytest.mark.parametrize(("retry_after", "least"), [(None, 0.7), (0.0, 0.8), (1.0, 0.5)])
def test_chance_refusals_do_not_take_the_limit_away(bench: Bench, retry_after: float | None, least: float) -> None:
    """One call in twenty that is refused whatever the rate costs the pauses after it, and little more."""
    provider = Provider(10, chance=0.05, retry_after=retry_after)
    fleet, job = against(bench, provider, requests_per_minute=REAL)
    with fleet:
        fleet.run(60)
        fleet.run(180)
        used, _ = used_and_refused(fleet, f"5% by chance, Retry-After {retry_after}", 180)
    print(f"share {bench.share(job.model):.2f}")
    assert used >= least


@pytest.mark.parametrize("chance", [0.5, 1.0])
def test_a_storm_leaves_nothing_behind(bench: Bench, chance: float) -> None:
    """A minute in which half or all is refused is over a minute after it has ended: nine tenths are used again."""
    fleet, _ = against(bench, Provider(10, requests_per_minute=1.1 * REAL), requests_per_minute=REAL)
    with fleet:
        fleet.run(30)
        fleet.provider.chance = chance
        fleet.run(60)
        fleet.provider.chance = 0.0
        fleet.run(60)
        fleet.run(30)
        used, refused = used_and_refused(fleet, f"a minute after a storm of {chance:.0%}", 30)
    assert used >= 0.9
    assert refused < 0.01


@pytest.mark.parametrize(("times", "least"), [(5, 0.8), (10, 0.6)])
def test_a_limit_that_is_a_fraction_of_the_declared_one_is_found(bench: Bench, times: int, least: float) -> None:
    """However far the declared limit is off, refusals are not taken for chance; few calls teach little."""
    fleet, _ = against(bench, Provider(1, requests_per_minute=REAL / times), requests_per_minute=REAL)
    with fleet:
        fleet.run(60)
        fleet.run(60)
        used, refused = used_and_refused(fleet, f"{times} times too high", 60, REAL / times)
    assert used >= least
    assert refused < 0.03


def test_a_wall_behind_chance_is_found(bench: Bench) -> None:
    """One call in a hundred is refused whatever the rate, and the limit is half of the declared one."""
    provider = Provider(1, chance=0.01, requests_per_minute=REAL)
    fleet, _ = against(bench, provider, requests_per_minute=2 * REAL)
    with fleet:
        fleet.run(60)
        fleet.run(150)
        used, refused = used_and_refused(fleet, "half of the declared limit, and 1% by chance", 150)
    assert used >= 0.75
    assert refused < 0.06
