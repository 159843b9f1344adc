"""What is shown of jobs, models and workers, read from a ledger whose figures are known."""

from __future__ import annotations

import pytest
from ledger_bench import NOON, Bench, Job

from console.reading import watching
from console.reading.binding import binding, waits
from console.reading.fleet import FleetReader
from console.reading.fleet import as_json as fleet_json
from console.reading.job import JobReader
from console.reading.model import last_minutes, model_now
from console.reading.watching import Watcher
from console.reading.workers import workers_now
from ledger import fleet, history, jobs, keys, limits
from ledger.leases import Wait


@pytest.fixture
def on_the_clock(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench whose readings have their times by its clock, as a server's have by its own."""
    add = bench.redis.xadd
    monkeypatch.setattr(bench.redis, "xadd", lambda *args, **more: add(*args, id=f"{bench.at // 1000}-*", **more))
    return bench


def call(job: Job, unit: int, worker: str = "w", seconds: float = 1.0) -> None:
    """One call from its beginning to its end."""
    job.wait_for(unit) if worker == "w" else job.granted(unit, worker=worker)
    job.bench.advance(seconds)
    job.settle(unit, worker=worker, prompt_tokens=30, completion_tokens=100, cost=1_000_000)


def test_the_last_minutes_use_ends_when_nobody_calls(bench: Bench) -> None:
    """While calls ask, the use is as the ledger sums it; when none asks any more, it leaves the minute all the same."""
    model = bench.model(requests_per_minute=600)
    job = bench.job(model, 100)
    for unit in range(20):
        call(job, unit)
    now = model_now(bench.redis, model.name)
    use = limits.use(bench.redis, model.name)
    assert (now.requests, now.tokens) == (use.requests, use.tokens) == (20, now.tokens)
    assert now.tokens == 20 * 130
    bench.advance(51)
    half = model_now(bench.redis, model.name)
    assert 5 <= half.requests <= 15
    assert half.tokens == half.requests * 130
    # The ledger has not looked since, and looking here has changed nothing.
    assert limits.use(bench.redis, model.name) == use
    # The next call that asks sees what was shown.
    job.granted(99)
    assert limits.use(bench.redis, model.name).requests == half.requests + 1
    job.settle(99)
    for seconds in (70, 600):
        bench.advance(seconds)
        assert (model_now(bench.redis, model.name).requests, model_now(bench.redis, model.name).tokens) == (0, 0)


def test_a_model_nobody_has_called_is_idle(bench: Bench) -> None:
    """Its limits are known, and nothing of it is used."""
    model = bench.model(requests_per_minute=600, tokens_per_minute=1000, concurrent_requests=5)
    now = model_now(bench.redis, model.name)
    assert (now.requests, now.tokens, now.in_flight, now.waited) == (0, 0, 0, {})
    assert (now.rpm, now.tpm, now.concurrent, now.share) == (600, 1000, 5, 1.0)


@pytest.mark.parametrize(
    ("declared", "name"),
    [({"requests_per_minute": 30}, "requests"), ({"concurrent_requests": 1}, "concurrent")],
)
def test_what_calls_were_told_to_wait_for_binds(on_the_clock: Bench, declared: dict[str, int], name: str) -> None:
    """A limit that a line waits for binds; when it waits no more, nothing does."""
    bench = on_the_clock
    job = bench.job(bench.model(**declared), 100)
    job.granted(0)
    history.record(bench.redis)
    unit = 1
    for _ in range(20):
        reply = job.admit(unit)
        if isinstance(reply, Wait):
            bench.advance(reply.milliseconds / 1000)
        else:
            unit += 1
    found = waits(last_minutes(bench.redis, job.model.name))
    assert binding(found) == name
    job.settle(0)
    bench.advance(10)
    history.record(bench.redis)
    bench.advance(62)
    assert binding(waits(last_minutes(bench.redis, job.model.name))) is None


def test_workers_are_as_they_beat(bench: Bench) -> None:
    """Each living worker with its calls and what it waits with; the dead are not there."""
    job = bench.job(bench.model(), 10)
    fleet.beat(bench.redis, "box-7-c0ffee", [(job.id, 0), (job.id, 5), (job.id, 6)])
    fleet.beat(bench.redis, "gone", [(job.id, 9)])
    job.granted(0, worker="box-7-c0ffee")
    job.granted(1, worker="box-7-c0ffee")
    bench.redis.delete(keys.worker("gone"))
    (worker,) = workers_now(bench.redis)
    assert (worker.name, worker.host, worker.process) == ("box-7-c0ffee", "box", "7")
    # What has a lease by now is a call in flight, whatever the heartbeat before said.
    assert (worker.in_flight, worker.waiting) == ({job.id: 2}, {job.id: 2})
    assert 0 <= worker.silent < fleet.DEAD_AFTER_SECONDS


def test_a_jobs_view_is_its_counters(on_the_clock: Bench) -> None:
    """Rates, money and what is left come from the counters alone, whoever watches and for how long."""
    bench = on_the_clock
    job = bench.job(bench.model(price=(1, 10)), 200, budget=150_000_000)
    watched = JobReader(bench.redis, job.id)
    views = []
    for unit in range(100):
        call(job, unit)
        history.record(bench.redis)
        views.append(watched.read())
    view, fresh = views[-1], JobReader(bench.redis, job.id).read()
    assert view.status == fresh.status == job.status()
    for one in (view, fresh):
        assert one.per_minute == pytest.approx(60, rel=0.02)
        assert one.run_per_minute == pytest.approx(60, rel=0.02)
        assert one.worked_seconds == pytest.approx(100, rel=0.02)
        assert one.usd_per_hour == pytest.approx(3.6, rel=0.02)
        assert one.forecast == (pytest.approx(0.2), 150)
        assert one.left is not None
        assert one.left.low <= 100 <= one.left.high
        assert one.budget_left is not None
        assert one.budget_left.likely == pytest.approx(50, rel=0.1)
        assert one.queued == 100
    assert watched.read().at == bench.now() > NOON / 1e6


def test_a_pause_is_no_slowness(on_the_clock: Bench) -> None:
    """Time at rest counts for no rate, and a job that rests has no rate of now and nothing left to wait for."""
    bench = on_the_clock
    job = bench.job(bench.model(), 100)
    for unit in range(50):
        call(job, unit)
        history.record(bench.redis)
    jobs.set_state(bench.redis, job.id, "paused")
    history.record(bench.redis)
    bench.advance(3600)
    rests = JobReader(bench.redis, job.id).read()
    assert (rests.per_minute, rests.left, rests.budget_left) == (0, None, None)
    assert rests.run_per_minute == pytest.approx(60, rel=0.05)
    jobs.set_state(bench.redis, job.id, "running")
    for unit in range(50, 70):
        call(job, unit)
        history.record(bench.redis)
    again = JobReader(bench.redis, job.id).read()
    assert again.run_per_minute == pytest.approx(60, rel=0.05)
    assert again.per_minute == pytest.approx(60, rel=0.05)
    assert again.left is not None
    assert again.left.low <= 30 <= again.left.high


def test_failures_of_the_last_minute_are_told_from_the_others(bench: Bench) -> None:
    """Who watches learns what fails now; who looks once does not."""
    job = bench.job(bench.model(), 100)
    watched = JobReader(bench.redis, job.id)
    assert watched.read().recent is None
    for unit in range(3):
        job.granted(unit)
        job.settle(unit, outcome="rejected", reason="refused")
    bench.advance(2)
    assert watched.read().recent == {"rejected:refused": 3}
    bench.advance(61)
    watched.read()
    job.granted(3)
    job.settle(3, outcome="rejected", reason="invalid")
    bench.advance(1)
    assert watched.read().recent == {"rejected:invalid": 1}


def test_what_is_around_a_job(bench: Bench) -> None:
    """The model's limits, the workers and their calls, and whether somebody still enqueues it."""
    job = bench.job(bench.model(requests_per_minute=600), 10, registered=5)
    fleet.beat(bench.redis, "w", [])
    job.granted(0)
    watched = Watcher(bench.redis, job.id).read()
    assert (watched.around.workers, watched.around.hosts, watched.around.in_flight) == (1, 1, 1)
    assert (watched.job.queued, watched.fed, watched.binds) == (4, False, "workers")
    reading = watching.as_json(watched)
    assert reading["limits"]["requests"] == {"used": 1, "limit": 600.0}
    assert reading["running"] == reading["in_flight"] == 1
    bench.redis.set(keys.job(job.id, "producer"), "p")
    assert Watcher(bench.redis, job.id).read().fed


def test_the_fleet_is_the_sum_of_its_jobs(on_the_clock: Bench) -> None:
    """Rate and cost an hour of all running jobs, each model's lines, and the money of the day."""
    bench = on_the_clock
    model = bench.model(requests_per_minute=6000, price=(1, 10))
    one, two = bench.job(model, 100), bench.job(model, 100)
    for unit in range(60):
        fleet.beat(bench.redis, "w", [])
        call(one, unit, seconds=0.5)
        call(two, unit, seconds=0.5)
        history.record(bench.redis)
    view = FleetReader(bench.redis, ["idle/model"]).read()
    assert [job.status.job for job in view.jobs] == jobs.ids(bench.redis) == [two.id, one.id]
    assert view.per_minute == pytest.approx(120, rel=0.03)
    assert view.usd_per_hour == pytest.approx(7.2, rel=0.03)
    assert view.books.spent == 120_000_000
    idle, used = view.models
    assert (idle.name, idle.is_used, used.name, used.is_used) == ("idle/model", False, model.name, True)
    assert used.now.requests == limits.use(bench.redis, model.name).requests
    reading = fleet_json(view)
    assert reading["spent_today_usd"] == 0.12
    assert [worker["name"] for worker in reading["workers"]] == ["w"]


def test_waiting_lines_are_those_of_the_living(bench: Bench) -> None:
    """A line whose worker is gone waits for nothing."""
    job = bench.job(bench.model(concurrent_requests=1), 10)
    for name in ("one", "two", "gone"):
        fleet.beat(bench.redis, name, [])
    job.granted(0, worker="one")
    for unit, name in enumerate(("one", "two", "gone"), 1):
        job.waits(unit, worker=name)
    bench.redis.delete(keys.worker("gone"))
    (model,) = FleetReader(bench.redis, []).read().models
    assert model.lines == {job.id: 2}
    assert model.gauges[2].used == model.gauges[2].limit == 1
