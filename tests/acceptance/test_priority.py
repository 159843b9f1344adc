"""Jobs that share a model: a small one is not behind a large one, and each has its share by weight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fleet_bench import MODEL, Fleet
from provider_looks import now

from ledger.status import status_of

# Looks at pace: it has the machine's other tests beside it, but none that keeps every core busy.
pytestmark = pytest.mark.xdist_group("pace")

RPM = 600
SMALL = 30
LARGE = 1_000
#: Calls between two readings of a share.
COUNTED = 60


def test_a_small_job_with_priority_passes_a_large_one(fleet: Fleet) -> None:
    """Submitted while a job of 1,000 runs, 30 examples of weight 50 wait for hardly any call of the large job."""
    with _running(fleet) as large:
        small = fleet.submit("small", "--count", str(SMALL), "--seed", "1", "--priority", "50")
        submitted, before = now(), _made(fleet, large)
        fleet.until_state(small, "complete")
        seconds, beside = now() - submitted, _made(fleet, large) - before
        ideal = 60 / RPM * SMALL
        print(f"small: complete {seconds:.1f} s after it was submitted, ideal {ideal:.1f} s; beside it {beside} calls")
        # Those that each process had taken up before, and one in fifty.
        assert beside <= SMALL
        assert fleet.status(large).state == "running"


def test_two_jobs_share_a_model_by_their_weights(fleet: Fleet) -> None:
    """The job that came later has as much as the first of the same weight, and three times as much as soon as told."""
    with _running(fleet) as first:
        second = fleet.submit("small", "--count", str(LARGE), "--seed", "1")
        fleet.until_settled(second, 10)
        even = _share(fleet, first, second)
        fleet.genfleet("resume", second, "--priority", "3")
        three = _share(fleet, first, second)
        fleet.genfleet("resume", second, "--priority", "0.333")
        third = _share(fleet, first, second)
        print(f"share of the second job: even {even:.0%}, at weight 3 {three:.0%}, at weight 1/3 {third:.0%}")
        assert even == pytest.approx(1 / 2, abs=0.1)
        assert three == pytest.approx(3 / 4, abs=0.1)
        assert third == pytest.approx(1 / 4, abs=0.1)
        fleet.genfleet("cancel", second)


@contextmanager
def _running(fleet: Fleet) -> Iterator[str]:
    """A large job that runs under a limit, cancelled at the end."""
    fleet.declare({MODEL: {"requests_per_minute": RPM}})
    fleet.provide(latency_seconds=0.3)
    fleet.worker(processes=2, concurrency=30)
    large = fleet.submit("small", "--count", str(LARGE))
    fleet.until_settled(large, 20)
    yield large
    fleet.genfleet("cancel", large)


def _made(fleet: Fleet, job: str) -> int:
    """Calls of the job that were admitted so far."""
    reading = status_of(fleet.redis, job)
    return reading.attempts + reading.running


def _share(fleet: Fleet, first: str, second: str) -> float:
    """The second job's part of the next calls."""

    def readings() -> tuple[int, int]:
        return _made(fleet, first), _made(fleet, second)

    then = readings()
    fleet.until(lambda: sum(readings()) - sum(then) >= COUNTED, f"{COUNTED} calls have been made")
    ones, others = (b - a for a, b in zip(then, readings(), strict=True))
    return others / (ones + others)
