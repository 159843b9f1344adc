"""What waiting costs: the load on Redis follows what is done, and not how many tasks wait."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import pytest
from fleet_bench import MODEL, Fleet

# Looks at pace: it has the machine's other tests beside it, but none that keeps every core busy.
pytestmark = pytest.mark.xdist_group("pace")

#: Readings of a second each.
READINGS = 6
PROCESSES = 8
#: Bookkeeping that does not belong to an example: the reading itself.
_OURS = {"cmdstat_info"}


@dataclass(frozen=True)
class Load:
    """Of Redis: commands in each second, and over all of them calls of scripts in a second and for an example."""

    commands: list[float]
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
    for waiting, load in (("200", few), ("2,000", many)):
        seconds = " ".join(f"{commands:.0f}" for commands in load.commands)
        print(f"{waiting} waiting: {seconds} commands/s, {load.scripts:.1f} calls of scripts/s")
    fleet.genfleet("limits", MODEL, "--rpm", "600000")
    job = fleet.submit("small", "--count", "500", "--seed", "2")
    fleet.until_settled(job, 100)
    before, settled = _counts(fleet), fleet.status(job).settled
    fleet.until_state(job, "complete")
    free = (_counts(fleet)["cmdstat_evalsha"] - before["cmdstat_evalsha"]) / (500 - settled)
    print(f"calls of scripts for an example: {many.scripts_per_example:.1f} at the limit, {free:.1f} below it")
    # Of single seconds, a heartbeat's is higher and a busy machine's lower.
    assert statistics.median(many.commands) <= 1.3 * statistics.median(few.commands)


def _load_of(fleet: Fleet, count: str, seed: str) -> Load:
    """The load while a job of so many examples waits for the limit."""
    job = fleet.submit("small", "--count", count, "--seed", seed)
    fleet.until_settled(job, 5)
    times, counts, settled = [time.monotonic()], [_counts(fleet)], fleet.status(job).settled
    while len(times) <= READINGS:
        fleet.until(lambda: time.monotonic() - times[-1] >= 1, "a second is over")
        times.append(time.monotonic())
        counts.append(_counts(fleet))
    made = fleet.status(job).settled - settled
    assert fleet.status(job).waiting > int(count) / 2
    fleet.genfleet("cancel", job)
    sums = [sum(reading.values()) for reading in counts]
    commands = [(sums[n + 1] - sums[n]) / (times[n + 1] - times[n]) for n in range(READINGS)]
    scripts = counts[-1]["cmdstat_evalsha"] - counts[0]["cmdstat_evalsha"]
    return Load(commands, scripts / (times[-1] - times[0]), scripts / made)


def _counts(fleet: Fleet) -> dict[str, int]:
    """How often each command was called so far, those inside scripts included."""
    stats = fleet.redis.info("commandstats")
    return {name: figures["calls"] for name, figures in stats.items() if name not in _OURS}
