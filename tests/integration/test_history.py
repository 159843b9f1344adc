"""Readings of jobs and models over time."""

from __future__ import annotations

import pytest
from ledger_bench import Bench, Job

from ledger import history, jobs, keys
from ledger.history import EVERY_SECONDS


@pytest.fixture
def on_the_clock(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench whose streams have their entries' times by its clock, as a server's have by its own."""
    add = bench.redis.xadd
    monkeypatch.setattr(bench.redis, "xadd", lambda *args, **more: add(*args, id=f"{bench.at // 1000}-*", **more))
    return bench


def work(job: Job, units: range) -> None:
    for unit in units:
        job.granted(unit)
        job.settle(unit, prompt_tokens=30, completion_tokens=100, cost=7)
        job.bench.advance(0.01)


def record(bench: Bench, times: int, seconds: float) -> None:
    """Asks so many times for a reading, so far apart."""
    for _ in range(times):
        history.record(bench.redis)
        bench.advance(seconds)


def test_readings_are_the_ledgers_counters(on_the_clock: Bench) -> None:
    """A job's accepted, attempts, tokens and money, and a model's use and limits, as they are at that moment."""
    bench = on_the_clock
    model = bench.model(requests_per_minute=600_000, concurrent_requests=50)
    job = bench.job(model, 10)
    bench.advance(1)
    work(job, range(3))
    job.granted(3)
    history.record(bench.redis)
    (reading,) = history.of_job(bench.redis, job.id)
    assert reading == history.JobReading(bench.now(), 3, 0, 3, 90, 300, 21, 1)
    (use,) = history.of_model(bench.redis, model.name)
    assert (use.requests, use.in_flight, use.share, use.refused) == (4, 1, 1.0, 0)
    assert (use.rpm, use.tpm, use.concurrent) == (600_000, None, 50)


def test_readings_are_as_far_apart_as_heartbeats(on_the_clock: Bench) -> None:
    """However many processes ask for one, there is one for a heartbeat."""
    bench = on_the_clock
    job = bench.job(bench.model(), 10)
    work(job, range(1))
    record(bench, 20, EVERY_SECONDS / 4)
    assert len(history.of_job(bench.redis, job.id)) == 5
    assert len(history.of_model(bench.redis, job.model.name)) == 5


def test_a_long_job_is_read_more_rarely(on_the_clock: Bench) -> None:
    """After ten hours the readings are 36 seconds apart, as a curve needs no more."""
    bench = on_the_clock
    job = bench.job(bench.model(), 10)
    work(job, range(1))
    bench.advance(36_000)
    record(bench, 100, 4)
    assert 10 <= len(history.of_job(bench.redis, job.id)) <= 12


def test_a_job_that_rests_is_read_once_more_and_then_left_alone(on_the_clock: Bench) -> None:
    """The last reading is that of the end, however soon it came after another."""
    bench = on_the_clock
    job = bench.job(bench.model(), 2)
    work(job, range(1))
    history.record(bench.redis)
    bench.advance(1)
    work(job, range(1, 2))
    assert jobs.state(bench.redis, job.id) == "complete"
    record(bench, 30, 5)
    readings = history.of_job(bench.redis, job.id)
    assert [reading.accepted for reading in readings] == [1, 2]
    assert readings[-1].settled == 2


def test_what_has_not_begun_has_no_readings(on_the_clock: Bench) -> None:
    """A job without a call is no curve."""
    bench = on_the_clock
    job = bench.job(bench.model(), 2)
    history.record(bench.redis)
    assert history.of_job(bench.redis, job.id) == []
    assert not bench.redis.exists(keys.history(job.model.name))


def test_readings_since_a_moment(on_the_clock: Bench) -> None:
    """Who has seen the earlier ones asks for the later alone."""
    bench = on_the_clock
    job = bench.job(bench.model(), 10)
    work(job, range(1))
    record(bench, 4, 5)
    third = history.of_job(bench.redis, job.id)[2].at
    assert len(history.of_job(bench.redis, job.id, third)) == 2
    assert len(history.of_model(bench.redis, job.model.name, third)) == 2
