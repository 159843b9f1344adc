"""Workers that die: what they held is made by others, and only what was in flight is paid for twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from fleet_bench import MODEL, Fleet, environment_of

from ledger import keys

COUNT = 400
IN_FLIGHT = 20


def test_a_killed_process_costs_no_more_than_its_calls_in_flight(fleet: Fleet) -> None:
    """One of four processes is killed in the middle: all settle, and the difference to the bill is what it left."""
    fleet.provide(latency_seconds=0.4)
    worker = fleet.worker(processes=4, concurrency=IN_FLIGHT)
    fleet.until_joined(4)
    job = fleet.submit("small", "--count", str(COUNT))
    fleet.until_settled(job, COUNT // 4)
    fleet.hold_calls(job, 4 * IN_FLIGHT)
    os.kill(_busy(fleet, fleet.children(worker.pid)), signal.SIGKILL)
    fleet.until(lambda: fleet.billed("left_calls"), "the provider has seen its caller leave")
    fleet.provider.control(latency_seconds=0.1, latency_sigma=0.4)

    status = fleet.until_state(job, "complete")
    assert status.settled == COUNT
    assert fleet.billed("left_calls") == IN_FLIGHT
    assert fleet.billed("billed_calls") == COUNT + IN_FLIGHT
    assert fleet.billed() - status.cost_nano_usd == fleet.billed("left_cost_nano_usd") > 0
    assert status.unknown_usd * 1e9 >= fleet.billed("left_cost_nano_usd")
    assert status.reasons == {"again:worker_lost": IN_FLIGHT}
    fleet.until(lambda: len(fleet.children(worker.pid)) == 4, "another process stands in its place")
    assert worker.end().code == 0
    fleet.genfleet("collect", job)
    assert len({example["id"] for example in fleet.parts(job, "accepted")}) == COUNT
    assert len(fleet.parts(job, "attempts")) == fleet.billed("calls")


def test_plain_workers_take_over_from_one_that_fell_silent(fleet: Fleet) -> None:
    """Without a supervisor, a killed worker's examples come back by the other's janitor once its heart is still."""
    fleet.provide(latency_seconds=0.4)
    workers = [fleet.plain_worker(name, IN_FLIGHT) for name in ("one", "two")]
    fleet.until_joined(2)
    job = fleet.submit("small", "--count", str(COUNT))
    fleet.until_settled(job, 40)
    fleet.hold_calls(job, 2 * IN_FLIGHT)
    os.kill(_busy(fleet, [worker.pid for worker in workers]), signal.SIGKILL)
    fleet.until(lambda: fleet.billed("left_calls"), "the provider has seen its caller leave")
    fleet.provider.control(latency_seconds=0.1, latency_sigma=0.4)

    status = fleet.until_state(job, "complete")
    assert status.settled == COUNT
    assert status.reasons == {"again:worker_lost": IN_FLIGHT}
    assert fleet.billed("billed_calls") == COUNT + IN_FLIGHT
    assert fleet.billed() - status.cost_nano_usd == fleet.billed("left_cost_nano_usd") > 0
    assert fleet.redis.hget(keys.model(MODEL), "in_flight") == b"0"


def _busy(fleet: Fleet, pids: list[int]) -> int:
    """One of the processes, with its share of the calls in flight."""
    return next(pid for pid in pids if fleet.redis.scard(keys.worker(_worker(fleet, pid), "leases")) == IN_FLIGHT)


def _worker(fleet: Fleet, pid: int) -> str:
    """The name under which a process holds its leases: its supervisor's, or one with its id."""
    for pair in environment_of(Path(f"/proc/{pid}")):
        if pair.startswith("GENFLEET_WORKER="):
            return pair.partition("=")[2]
    names = (name.decode() for name in fleet.redis.smembers(keys.WORKERS))
    return next(str(name) for name in names if f"-{pid}-" in name)
