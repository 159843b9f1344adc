"""How fast something grows, by readings of its counter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.reading.rate import Point, growth, now_per_minute, since_first
from ledger.history import JobReading

STEP = 4.5


def steady(seconds: float, per_second: float, start: float = 1000.0) -> list[Point]:
    """Readings of a counter that grows evenly."""
    return [Point(start + STEP * k, round(per_second * STEP * k)) for k in range(round(seconds / STEP) + 1)]


readings = st.lists(st.tuples(st.floats(0.01, 29, allow_nan=False), st.integers(0, 500)), min_size=1, max_size=60).map(
    lambda steps: [Point(at, settled) for at, settled in zip(_sums(0.0, steps, 0), _sums(0, steps, 1), strict=True)]
)


def _sums(first: float, steps: list[tuple[float, int]], place: int) -> list:  # type: ignore[type-arg]
    sums = [first]
    for step in steps:
        sums.append(sums[-1] + step[place])
    return sums


def test_an_even_counter_has_one_rate() -> None:
    """Two a second are 120 a minute, now and over the run."""
    points = steady(900, 2)
    assert now_per_minute(points) == pytest.approx(120)
    assert growth(points).per_minute == pytest.approx(120)


def test_the_last_minute_is_told_from_the_run() -> None:
    """A job that has slowed down is slow now, and over the run somewhere between."""
    fast = steady(450, 4)
    slow = [Point(fast[-1].at + STEP * k, fast[-1].settled + round(STEP * k)) for k in range(1, 101)]
    assert now_per_minute([*fast, *slow]) == pytest.approx(60, rel=0.05)
    assert growth([*fast, *slow]).per_minute == pytest.approx(150, rel=0.02)


def test_a_span_may_begin_between_two_readings() -> None:
    """Of readings that are further apart than a minute, so much counts as lies in it."""
    assert growth([Point(0, 0), Point(25, 100), Point(125, 600)], 60) == (300, 60)


def test_the_way_of_the_first_calls_is_no_slowness() -> None:
    """Until the first result the rate of the last minute does not count the time, but the run's does."""
    slow_start = [Point(0, 0), Point(20, 0), Point(40, 10), Point(50, 20), Point(60, 30)]
    assert now_per_minute(slow_start) == 60
    assert growth(slow_start).per_minute == 30
    assert since_first(slow_start[:3]) == slow_start[:3]


def test_examples_that_are_enqueued_again_take_no_rate_away() -> None:
    """A retry lowers the count of settled examples; what comes after it counts."""
    assert growth([Point(0, 0), Point(10, 50), Point(12, 20), Point(20, 60)]) == (90, 20)


def test_nothing_is_known_of_no_time() -> None:
    """No reading, one, or two at one moment: nothing has grown, and no rate is a division by nought."""
    for points in ([], [Point(5, 9)], [Point(5, 9), Point(5, 12)]):
        assert growth(points) == (0, 0)
        assert now_per_minute(points) == growth(points).per_minute == 0


def test_any_counter_of_the_ledgers_readings_has_a_rate() -> None:
    """Money grows as examples do."""
    of_job = [JobReading(10.0 * k, k, 0, k, 0, 0, 7 * k, 1) for k in range(7)]
    assert growth(of_job, 30, lambda reading: reading.spent) == (21, 30)


@given(readings)
def test_the_whole_run_is_all_there_is(points: list[Point]) -> None:
    """The growth of the run is from its first reading to its last."""
    whole = growth(points)
    assert whole.amount == pytest.approx(points[-1].settled - points[0].settled)
    assert whole.seconds == pytest.approx(points[-1].at - points[0].at)


@given(readings, st.floats(0.1, 500))
def test_a_part_is_never_more_than_the_whole(points: list[Point], seconds: float) -> None:
    """A span's time and growth are within its seconds and the whole's growth, and none is negative."""
    part, whole = growth(points, seconds), growth(points)
    assert 0 <= part.seconds <= min(seconds, whole.seconds) * (1 + 1e-9) + 1e-9
    assert 0 <= part.amount <= whole.amount * (1 + 1e-9) + 1e-9
