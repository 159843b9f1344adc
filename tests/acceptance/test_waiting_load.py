"""What waiting costs: the load on Redis follows what is done, and not how many tasks wait."""

from __future__ import annotations

import statistics
import time

import pytest
from fleet_bench import MODEL, Fleet

# Looks at pace: it has the machine's other tests beside it, but none that keeps every core busy.
pytestmark = pytest.mark.xdist_group("pace")

#: Readings of a second each.
READINGS = 6
PROCESSES = 8
#: The reading itself.
_OURS = {"cmdstat_info"}


def test_ten_times_the_waiting_tasks_are_no_more_load_on_redis(fleet: Fleet) -> None:
    """Under 120 requests/min, 2,000 waiting tasks on eight processes make as many commands a second as 200."""
    fleet.declare({MODEL: {"requests_per_minute": 120}})
    fleet.provide(latency_seconds=0.3)
    fleet.worker(processes=PROCESSES, concurrency=250)
    fleet.until_joined(PROCESSES)
    few = _load_of(fleet, "200", "0")
    many = _load_of(fleet, "2000", "1")
    for waiting, load in (("200", few), ("2,000", many)):
        print(f"{waiting} waiting: {' '.join(f'{commands:.0f}' for commands in load)} commands/s")
    # Of single seconds, a heartbeat's is higher and a busy machine's lower.
    assert statistics.median(many) <= 1.3 * statistics.median(few)


def _load_of(fleet: Fleet, count: str, seed: str) -> list[float]:
    """Commands in each second, those inside scripts included, while a job of so many examples waits for the limit."""
    job = fleet.submit("small", "--count", count, "--seed", seed)
    fleet.until_settled(job, 5)
    times, counts = [time.monotonic()], [_commands(fleet)]
    while len(times) <= READINGS:
        fleet.until(lambda: time.monotonic() - times[-1] >= 1, "a second is over")
        times.append(time.monotonic())
        counts.append(_commands(fleet))
    assert fleet.status(job).waiting > int(count) / 2
    fleet.genfleet("cancel", job)
    return [(counts[n + 1] - counts[n]) / (times[n + 1] - times[n]) for n in range(READINGS)]


def _commands(fleet: Fleet) -> int:
    """How many were called so far, but for those of the reading itself."""
    stats = fleet.redis.info("commandstats")
    return sum(figures["calls"] for name, figures in stats.items() if name not in _OURS)
