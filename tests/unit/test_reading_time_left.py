"""How long a job will still take: of jobs that are made here call by call, the truth is known."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from bisect import bisect_right
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.reading.rate import Point
from console.reading.time_left import Left, time_left

EVERY = 4.5


@dataclass
class Job:
    """When the calls of a job start and end, in seconds."""

    starts: list[float]
    ends: list[float]

    @property
    def total(self) -> int:
        return len(self.ends)

    def reading(self, at: float) -> Point:
        settled = bisect_right(self.ends, at)
        return Point(at, settled, bisect_right(self.starts, at) - settled)

    def left(self, at: float) -> Left | None:
        """What would be said at that moment."""
        readings = [self.reading(EVERY * k) for k in range(math.ceil(at / EVERY))]
        now = self.reading(at)
        return time_left([*readings, now], self.total - now.settled)


def made(total: int, per_minute: float, slots: int, latency: float, sigma: float, rng: random.Random) -> Job:
    """A job whose calls start as fast as a limit a minute and one on calls in flight let them.

    Latencies are log-normal with that mean in seconds.
    """
    at, in_flight, job = 0.0, list[float](), Job([], [])
    for _ in range(total):
        while in_flight and in_flight[0] <= at:
            heapq.heappop(in_flight)
        if len(in_flight) == slots:
            at = heapq.heappop(in_flight)
        end = at + rng.lognormvariate(math.log(latency) - sigma**2 / 2, sigma)
        heapq.heappush(in_flight, end)
        job.starts.append(at)
        job.ends.append(end)
        at += 60 / per_minute
    job.ends.sort()
    return job


@pytest.mark.parametrize(
    ("total", "per_minute", "slots", "latency", "sigma", "hits"),
    [
        pytest.param(2000, 300, 10_000, 2.5, 0.4, 0.97, id="a limit a minute binds"),
        pytest.param(200, 60, 10_000, 20, 0.5, 0.85, id="few calls, long ones"),
        pytest.param(2000, 1e9, 20, 5, 0.5, 0.8, id="calls in flight bind"),
        pytest.param(300, 1e9, 10, 10, 0.8, 0.75, id="calls in flight bind, and latencies differ widely"),
    ],
)
def test_the_range_holds_the_truth(
    total: int, per_minute: float, slots: int, latency: float, sigma: float, hits: float
) -> None:
    """From a tenth of a job on, of most moments the time that was really left lies in the range that was told."""
    rng, within = random.Random(7), []
    for _ in range(20):
        job = made(total, per_minute, slots, latency, sigma, rng)
        for share in (0.1, 0.25, 0.5, 0.75, 0.95):
            at = job.ends[-1] * share
            left = job.left(at)
            within.append(left is not None and left.low <= job.ends[-1] - at <= left.high)
    print(f"{sum(within)} of {len(within)}")
    assert sum(within) >= hits * len(within)


def test_a_steady_job_is_told_closely() -> None:
    """Where a limit makes the rate even, the likely time is off by a few seconds, and the range narrow."""
    job = made(3000, 300, 10_000, 3, 0.3, random.Random(3))
    left = job.left(300)
    assert left is not None
    assert left.likely == pytest.approx(job.ends[-1] - 300, rel=0.03)
    assert left.high / left.low < 1.3


def test_a_job_that_slows_down_widens_its_range() -> None:
    """When the last minute is much slower than the run, the range holds both, and the likely time lies between."""
    fast = [Point(5.0 * k, 50 * k, 10) for k in range(121)]
    slow = [Point(600 + 5.0 * k, 6000 + 5 * k, 10) for k in range(1, 13)]
    left = time_left([*fast, *slow], 4000)
    assert left is not None
    assert left.low < 4000 / 9
    assert left.high > 4000 / 1.1
    assert left.low < left.likely < left.high


def test_what_stands_still_has_no_end() -> None:
    """Nothing for a minute: the high end is infinite; nothing for most of the run: no time can be told."""
    readings = [Point(5.0 * k, min(300, 10 * k), 4) for k in range(60)]
    left = time_left(readings, 100)
    assert left is not None
    assert math.isfinite(left.likely)
    assert left.high == math.inf
    still = [Point(5.0 * k, min(30, 10 * k), 4) for k in range(600)]
    assert time_left(still, 100) is None


@pytest.mark.parametrize("readings", [[], [Point(0, 0)], [Point(0, 0), Point(5, 2)], [Point(0, 0), Point(60, 0, 9)]])
def test_nothing_is_told_of_next_to_nothing(readings: list[Point]) -> None:
    """Before a few examples have come there is no rate."""
    assert time_left(readings, 10) is None


def test_what_is_done_takes_no_time() -> None:
    """No example is left: none, whatever the readings."""
    assert time_left([], 0) == (0, 0, 0)


steps = st.lists(st.tuples(st.floats(0.1, 20), st.integers(0, 100), st.integers(0, 50)), min_size=2, max_size=40)


def readings_of(made_of: list[tuple[float, int, int]]) -> list[Point]:
    times = itertools.accumulate((step[0] for step in made_of), initial=0.0)
    counts = itertools.accumulate((step[1] for step in made_of), initial=0)
    return [Point(at, count, step[2]) for at, count, step in zip(times, counts, [(0, 0, 0), *made_of], strict=True)]


@given(steps, st.integers(1, 10_000))
def test_the_ends_are_in_order(made_of: list[tuple[float, int, int]], todo: int) -> None:
    """Low, likely, high, and none is negative."""
    left = time_left(readings_of(made_of), todo)
    assert left is None or 0 <= left.low <= left.likely <= left.high


@given(steps, st.integers(1, 10_000), st.integers(1, 10_000))
def test_more_to_do_takes_longer(made_of: list[tuple[float, int, int]], todo: int, more: int) -> None:
    """By the same readings, a larger rest takes no less time at any end."""
    readings = readings_of(made_of)
    less, longer = time_left(readings, todo), time_left(readings, todo + more)
    assert (less is None) == (longer is None)
    assert less is None or longer is None or all(one <= other for one, other in zip(less, longer, strict=True))


@given(steps, st.integers(1, 10_000), st.floats(0.01, 1000))
def test_the_moment_it_began_says_nothing(made_of: list[tuple[float, int, int]], todo: int, later: float) -> None:
    """The same readings at another time of day tell the same time left."""
    readings = readings_of(made_of)
    left = time_left(readings, todo)
    moved = time_left([point._replace(at=point.at + later) for point in readings], todo)
    assert (left is None) == (moved is None)
    assert left is None or moved is None or moved == pytest.approx(left, rel=1e-6)
