"""The course of a job: pauses are no time at work, and a long course is as quick to read as a short one."""

from __future__ import annotations

import itertools

import pytest

from console.reading.course import Course
from console.reading.rate import growth, now_per_minute
from console.reading.time_left import time_left
from ledger.history import JobReading

STEP = 4.5
START = 1000.0


def reading(at: float, settled: float, running: int = 0) -> JobReading:
    return JobReading(at, round(settled), 0, 0, 0, 0, 0, running)


def steady(seconds: float, start: float = START, settled: float = 0.0, every: float = STEP) -> list[JobReading]:
    """Readings of a job that settles an example a second."""
    return [reading(start + every * k, settled + every * k) for k in range(1, round(seconds / every) + 1)]


def course(*readings: JobReading, rests: bool = False) -> list[JobReading]:
    """What the course of a job makes of readings, of which the last is of now."""
    made = Course(START)
    for one in readings[:-1]:
        made.add(one)
    return made.up_to(readings[-1], rests=rests)


def test_without_a_pause_readings_are_as_they_were_taken() -> None:
    """Each is there with its time, after the job's beginning."""
    taken = steady(90)
    assert course(*taken) == [reading(START, 0), *taken]


def test_a_pause_is_not_time_at_work() -> None:
    """An hour in which no process took readings and nothing came makes no rate lower."""
    before = steady(270)
    after = [reading(before[-1].at + 3600, 270), *steady(270, before[-1].at + 3600, 270)]
    assert growth(course(*before, *after)).per_minute == pytest.approx(60, rel=0.01)
    assert now_per_minute(course(*before, *after[:4])) == pytest.approx(60, rel=0.15)


def test_pauses_that_come_again_and_again_are_not_time_at_work() -> None:
    """However short they are beside one of a week, none of them counts."""
    taken, at, settled = [], START, 0.0
    for pause in [1_200.0] * 10 + [7 * 86_400.0] + [3_600.0] * 3:
        taken += steady(90, at, settled)
        settled = taken[-1].settled
        at = taken[-1].at + pause
        taken.append(reading(at, settled))
    run = growth(course(*taken, *steady(90, at, settled)))
    assert run.seconds == pytest.approx(15 * 90, rel=0.02)
    assert run.amount == 15 * 90


def test_what_came_at_the_end_of_a_pause_took_no_hour() -> None:
    """The first reading after a pause may tell of a few results already, which took seconds."""
    before = steady(270)
    after = steady(13.5, before[-1].at + 3600, 274)
    assert growth(course(*before, *after)).per_minute == pytest.approx(60, rel=0.01)
    assert growth(course(*before, *after), 20).per_minute == pytest.approx(60, rel=0.1)


def test_readings_that_are_missing_are_no_pause() -> None:
    """Where nobody took readings but as much came as usual, the time was worked."""
    taken = [one for one in steady(900) if not 200 < one.at - START < 400]
    assert growth(course(*taken)) == pytest.approx((900, 900), rel=0.01)


def test_a_fleet_that_is_gone_is_slow_now() -> None:
    """When the last reading is long past and nothing has come since, the rate of now is nought; not that of the run."""
    gone = [*steady(270), reading(START + 270 + 600, 270)]
    assert now_per_minute(course(*gone)) == 0
    assert growth(course(*gone, rests=True)).per_minute == pytest.approx(60)


def test_what_is_known_already_is_passed_over() -> None:
    """A reading that is older than the last, or of the same moment, changes nothing; nor is the future told."""
    taken = steady(90)
    made = Course(START)
    for one in (*taken, taken[3], taken[-1]):
        made.add(one)
    assert made.up_to(reading(START + 91, 91), rests=False)[:-1] == [reading(START, 0), *taken]
    assert made.up_to(reading(START + 45, 45), rests=True) == [reading(START, 0), *taken[:9], reading(START + 45, 45)]


@pytest.mark.parametrize("every", [STEP, 134.4])
def test_a_long_course_is_thinned(every: float) -> None:
    """Of very many readings a thousand or two are kept, evenly, the newest all; rates are as of all of them."""
    taken = steady(9_000 * every, every=every)
    kept = course(*taken)
    assert 1_000 <= len(kept) <= 2_002
    assert kept[0] == reading(START, 0)
    recent = [one for one in taken if one.at > taken[-1].at - 550]
    assert kept[len(kept) - len(recent) :] == recent
    apart = [after.at - before.at for before, after in itertools.pairwise(kept)]
    assert max(apart) < 0.004 * (taken[-1].at - START)
    assert growth(kept) == pytest.approx(growth([reading(START, 0), *taken]))
    assert now_per_minute(kept) == pytest.approx(now_per_minute(taken))
    left = time_left(kept, 1_000)
    assert left is not None
    assert left == pytest.approx(tuple(time_left(taken, 1_000) or ()), rel=0.01)
