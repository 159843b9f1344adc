"""Machines whose clocks are wrong: the fleet goes by the server's."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from chaos_run import Run, Shape
from fleet_bench import MODEL
from shifted_clock import shifted

from config.money import to_nano_usd
from console.usage import usage_of
from ledger import jobs
from ledger.connection import clock

pytestmark = pytest.mark.chaos


def fast_and_slow(run: Run) -> None:
    """The usual beginning, with one machine an hour fast and one an hour slow."""
    run.workers(1, **shifted(run.folder, 1))
    run.workers(1, **shifted(run.folder, -1))
    run.begin()


def server_time(run: Run) -> datetime:
    """What the broker's clock shows."""
    return datetime.fromtimestamp(clock(run.broker.client), UTC)


def dated_between(run: Run, began: datetime) -> None:
    """Every attempt is dated by the server's clock, and so is the hour that it is counted under."""
    census, ended = run.census, server_time(run)
    assert census is not None
    dates = [row["at"].replace(tzinfo=UTC) for row in census.disk.attempts]
    # Half of what a question for the time may take, and what the machine was asked before.
    slack = 1.0
    assert all(-slack <= (date - began).total_seconds() for date in dates)
    assert all(-slack <= (ended - date).total_seconds() for date in dates)
    hours = {row["hour"] for row in usage_of(run.results, "hour")}
    assert hours <= {f"{moment:%Y-%m-%d %H}:00" for moment in (began, ended)}


def test_a_clock_can_be_wrong(chaos: Callable[..., Run]) -> None:
    """The means of these tests: a process that is told so is an hour fast, and waits as long as any other."""
    waits = "import threading, time; began = time.monotonic(); threading.Event().wait(0.2)"
    with chaos() as run:
        asked = ["-c", f"{waits}; print(time.time(), time.monotonic() - began)"]
        wall, steady = map(float, run.fleet.python(asked, "clock", shifted(run.folder, 1)).wait().out.split())
    assert 3500 < wall - time.time() < 3700
    assert 0.2 <= steady < 60


@pytest.mark.chaos(representative=True)
def test_workers_an_hour_fast_and_an_hour_slow(chaos: Callable[..., Run]) -> None:
    """Nobody is taken for dead who is not, who is dies by the server's clock, and every attempt is dated by it."""
    with chaos() as run:
        began = server_time(run)
        fast_and_slow(run)
        run.at(0.3)
        run.kill(run.pids()[:1])
        census = run.ends()
        lost = [row for row in census.disk.attempts if row["reason"] == "worker_lost"]
        assert {int(row["unit"]) for row in lost} <= run.in_flight
        dated_between(run, began)


def test_a_dead_worker_is_missed_by_the_servers_clock(chaos: Callable[..., Run]) -> None:
    """An unwatched worker an hour fast is killed: its heartbeat runs out, and one an hour slow takes over."""
    with chaos() as run:
        began = server_time(run)
        run.workers(1, **shifted(run.folder, -1))
        folder = str(run.folder / "unwatched")
        unwatched = run.fleet.plain_worker(
            "fast", run.shape.concurrency, GENFLEET_DATA=folder, **shifted(run.folder, 1)
        )
        run.fleet.until(lambda: len(run.alive()) == run.shape.processes + 1, "all have joined")
        run.begin()
        run.at(0.2)
        with run.fault():
            unwatched.kill()
        run.ends(lost_workers=True)
        dated_between(run, began)


def test_the_broker_is_away_from_wrong_clocks(chaos: Callable[..., Run]) -> None:
    """What waited in journals meanwhile is dated when its answer came."""
    with chaos() as run:
        began = server_time(run)
        fast_and_slow(run)
        run.at(0.3)
        with run.fault():
            run.broker.kill()
            time.sleep(5)
            run.broker.start()
        assert not run.ends().paid_twice
        dated_between(run, began)


def test_calls_longer_than_a_heartbeat_lasts(chaos: Callable[..., Run]) -> None:
    """Nothing that a worker holds for long runs out by its own clock or by a neighbour's."""
    with chaos(Shape(count=80, latency=20)) as run:
        fast_and_slow(run)
        census = run.ends(180)
        assert not census.paid_twice
        assert not census.ledger.unknown_each


def test_the_days_budget_is_of_the_servers_day(chaos: Callable[..., Run]) -> None:
    """Workers a day ahead and a day behind keep one budget: that of the broker's day (UTC)."""
    with chaos() as run:
        if server_time(run).hour == 23 and server_time(run).minute > 55:
            pytest.skip("the server's day ends in a few minutes")
        budget = to_nano_usd("0.05")
        run.fleet.genfleet("limits", "--daily-budget", "0.05")
        run.workers(1, **shifted(run.folder, 24))
        run.workers(1, **shifted(run.folder, -24))
        run.submit()
        run.collector = run.collect()
        run.fleet.until_state(run.job, "budget")
        run.collector.wait()
        assert 0 < run.fleet.billed() <= budget

        run.fleet.genfleet("limits", "--daily-budget", "0")
        run.fleet.genfleet("resume", run.job)
        run.collector = run.collect()
        run.ends()


def test_jobs_are_ordered_by_the_servers_clock(chaos: Callable[..., Run]) -> None:
    """A producer an hour fast submits first, and its job is not taken for the newest."""
    with chaos() as run:
        run.fleet.recipe(name="first", model=MODEL)
        run.fleet.genfleet("submit", "first", "--count", "1", **shifted(run.folder, 1))
        second = run.submit()
        assert jobs.ids(run.broker.client)[0] == second
