"""How much of each limit was used, and what held calls back: from the ledger's readings, and from attempts alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from config.models import Limits
from console.report.attempts import Step, Timeline
from console.report.limits_use import LimitsUse, of_attempts, of_readings
from ledger.history import ModelReading

FIRST = 1_000_000.0


def reading(at: float, **changes: object) -> ModelReading:
    """A reading that many seconds after the first call, of a model that uses half of its tokens."""
    plain = ModelReading(
        at=FIRST + at,
        requests=30,
        tokens=5_000,
        in_flight=2,
        share=1.0,
        refused=3,
        rpm=100.0,
        tpm=10_000.0,
        concurrent=10,
        waited={},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def every(seconds: float, last: float, **changes: object) -> list[ModelReading]:
    """Readings that far apart, up to a time."""
    return [reading(at * seconds, **changes) for at in range(1, round(last / seconds) + 1)]


def read(readings: list[ModelReading], last: float = 300.0) -> LimitsUse:
    """The limits from these readings, which must be enough."""
    found = of_readings(readings, FIRST, FIRST + last)
    assert found is not None
    return found


def test_shares_are_of_the_limit_at_that_moment() -> None:
    """Each limit's share is what is used by what is in force, and the fullest is the one that is used most."""
    used = read(every(5, 300))
    assert {use.what: use.mean for use in used.uses} == pytest.approx(
        {"requests": 0.3, "tokens": 0.5, "concurrent": 0.2}
    )
    assert used.fullest is not None
    assert used.fullest.name == "tokens per minute"
    halved = read([*every(5, 150), *(replace(one, tpm=5_000.0) for one in every(5, 300)[30:])])
    tokens = next(use for use in halved.uses if use.what == "tokens")
    assert (tokens.shares[0][1], tokens.shares[-1][1], tokens.limit) == (0.5, 1.0, 7_500)


def test_the_first_minute_fills_up_and_is_not_in_the_mean() -> None:
    """What was admitted in the minute before a reading is less in the first minute of a job."""
    filling = [reading(5.0 * k, tokens=min(10_000, 833 * k)) for k in range(1, 61)]
    tokens = next(use for use in read(filling).uses if use.what == "tokens")
    assert tokens.mean == pytest.approx(1.0, abs=0.01)
    assert tokens.shares[0][1] < 0.1


def test_a_limit_that_is_not_there_is_told() -> None:
    """A model without a limit on tokens has no curve for them."""
    used = read(every(5, 300, tpm=None))
    assert [use.what for use in used.uses] == ["requests", "concurrent"]
    assert used.unlimited == ["tokens per minute"]


def test_waits_say_what_held_calls_back() -> None:
    """Between two readings the cause that was waited for longest; neighbours of one cause are one stretch."""
    waits = [
        {},
        {"tokens": 5},
        {"tokens": 10, "requests": 1},
        {"tokens": 10, "requests": 9},
        {"tokens": 10, "requests": 9},
    ]
    readings = [reading(10.0 * k, waited=waits[min(k, 4)]) for k in range(31)]
    used = read(readings)
    assert used.bound == [(0.0, 20.0, "tokens"), (20.0, 30.0, "requests")]
    assert used.waited == {"tokens": 10, "requests": 9}
    assert used.waiting == 19


def test_waits_before_the_job_are_not_its_own() -> None:
    """Counters that other jobs had driven up before the first call do not count, and neither do their refusals."""
    before = reading(-5, waited={"tokens": 1_000}, refused=7)
    used = read([before, *every(5, 300, waited={"tokens": 1_200}, refused=9)])
    assert (used.waited, used.refused) == ({"tokens": 200}, 2)


@pytest.mark.parametrize(
    "readings",
    [
        [],
        every(5, 20),  # too few
        every(5, 100),  # of a third of the time
        [one for one in every(5, 300) if one.at > FIRST + 150],  # the beginning is gone
    ],
)
def test_readings_of_another_time_are_not_used(readings: list[ModelReading]) -> None:
    """Where the broker kept too little of the job's time, the attempts have to tell."""
    assert of_readings(readings, FIRST, FIRST + 300) is None


def test_many_readings_are_thinned_to_means() -> None:
    """A fortnight's readings are as many points as a chart has room for."""
    used = read(every(0.5, 300))
    tokens = next(use for use in used.uses if use.what == "tokens")
    assert len(tokens.shares) <= 120
    assert tokens.shares[-1] == (300.0, 0.5)


def test_attempts_tell_shares_of_the_limits_in_force() -> None:
    """Calls and tokens that ended in a step, by its length, and calls in flight, against the limits."""
    step = Step(5, 0, 0, 5, 300, 200, 0, None)
    line = Timeline(FIRST, FIRST + 60, [step, replace(step, requests=10), step])
    used = of_attempts(line, [1.0, 2.0, 3.0], Limits(requests_per_minute=30, tokens_per_minute=3_000))
    shares = {use.what: [share for _, share in use.shares] for use in used.uses}
    assert shares == {"requests": [0.5, 1.0, 0.5], "tokens": [0.5, 0.5, 0.5]}
    assert used.bound == [(20.0, 40.0, "requests")]
    assert (used.source, used.waited, used.unlimited) == ("attempts", None, ["calls in flight"])


def test_no_limits_are_no_curves() -> None:
    """A model without any limit has nothing to show."""
    step = Step(5, 0, 0, 5, 300, 200, 0, None)
    used = of_attempts(Timeline(FIRST, FIRST + 60, [step]), [1.0], Limits())
    assert (used.uses, used.fullest, used.bound) == ([], None, [])
