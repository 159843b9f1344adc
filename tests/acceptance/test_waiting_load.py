"""What waiting costs: the load on Redis follows what is done, and not how many tasks wait."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fleet_bench import MODEL, Fleet

SECONDS = 8.0
PROCESSES = 8
#: Bookkeeping that does not belong to an example: the reading itself.
_OURS = {"cmdstat_info"}


@dataclass(frozen=True)
class Load:
    """Of Redis over a while: commands and calls of scripts in a second, and calls of scripts for an example."""

    commands: float
    scripts: float
    scripts_per_example: float


def test_ten_times_the_waiting_tasks_are_no_more_load_on_redis(fleet: Fleet) -> None:
    """Under 120 requests/min, 2,000 waiting tasks on eight processes make as many commands a second as 200."""
    fleet.declare({MODEL: {"requests_per_minute": 120}})
    fleet.provide(latency_seconds=0.3)
    fleet.worker(processes=PROCESSES, concurrency=250)
    fleet.until_joined(PROCESSES)
    few = _load_of(fleet, "200", "0")
    many = _load_of(fleet, "2000", "1")
    print(f"200 waiting: {few.commands:.0f} commands/s, {few.scripts:.1f} calls of scripts/s")
    print(f"2,000 waiting: {many.commands:.0f} commands/s, {many.scripts:.1f} calls of scripts/s")
    fleet.genfleet("limits", MODEL, "--rpm", "600000")
    job = fleet.submit("small", "--count", "500", "--seed", "2")
    fleet.until_settled(job, 100)
    before, settled = _counts(fleet), fleet.status(job).settled
    fleet.until_state(job, "complete")
    free = (_counts(fleet)["cmdstat_evalsha"] - before["cmdstat_evalsha"]) / (500 - settled)
    print(f"calls of scripts for an example: {many.scripts_per_example:.1f} at the limit, {free:.1f} below it")
    assert many.commands <= 1.3 * few.commands


def _load_of(fleet: Fleet, count: str, seed: str) -> Load:
    """The load while a job of so many examples waits for the limit."""
    job = fleet.submit("small", "--count", count, "--seed", seed)
    fleet.until_settled(job, 5)
    then, settled, began = _counts(fleet), fleet.status(job).settled, time.monotonic()
    fleet.until(lambda: time.monotonic() - began >= SECONDS, "the load is measured")
    now, made = _counts(fleet), fleet.status(job).settled - settled
    seconds = time.monotonic() - began
    assert fleet.status(job).waiting > int(count) / 2
    fleet.genfleet("cancel", job)
    scripts = now["cmdstat_evalsha"] - then["cmdstat_evalsha"]
    return Load((sum(now.values()) - sum(then.values())) / seconds, scripts / seconds, scripts / made)


def _counts(fleet: Fleet) -> dict[str, int]:
    """How often each command was called so far, those inside scripts included."""
    stats = fleet.redis.info("commandstats")
    return {name: figures["calls"] for name, figures in stats.items() if name not in _OURS}
