"""The arithmetic of the limits benchmark: shares, windows, and the account of what was not used."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

# The benchmarks are not installed with the packages.
sys.path.insert(0, str(Path(__file__).absolute().parents[2]))

from benchmarks.gap import gap
from benchmarks.measure import (
    Admission,
    Kind,
    Step,
    Worst,
    admissions,
    allowed,
    in_flight,
    integral,
    refused,
    used_share,
    worst_window,
)
from benchmarks.scenarios import SCENARIOS, quick
from config.models import Limits
from console.provider.buckets import Limiter

SIXTY = [Step(0.0, 60.0)]


def evenly(count: int, every: float, tokens: int = 100, seconds: float = 2.0, begin: float = 0.0) -> list[Admission]:
    """So many calls, one after the other."""
    return [Admission(begin + number * every, seconds, tokens) for number in range(count)]


def call(**fields: Any) -> dict[str, Any]:
    """A line of an audit."""
    return {"id": "gen-1", "t": 0.0, "seconds": 1.0, "debited_tokens": 10, "refused_by": None} | fields


def test_admissions_are_what_was_let_in_by_arrival() -> None:
    """The audit is in the order of the answers, and holds what was refused as well."""
    audit = [call(t=2.0), call(t=1.0), call(t=0.5, id=None, refused_by="requests_per_minute"), call(t=0.1, id=None)]
    assert [found.t for found in admissions(audit)] == [1.0, 2.0]
    assert refused(audit) == 1


def test_integral_follows_the_steps() -> None:
    """Each step holds until the next, the first one from ever."""
    steps = [Step(10.0, 60.0), Step(20.0, 30.0), Step(30.0, 120.0)]
    assert integral(steps, 5.0, 15.0) == 600
    assert integral(steps, 15.0, 35.0) == 5 * 60 + 10 * 30 + 5 * 120
    assert integral(steps, 40.0, 41.0) == 120
    assert allowed(steps, "requests", 15.0, 35.0) == 1200 / 60
    assert allowed(steps, "concurrent", 15.0, 35.0) == 1200


def test_calls_at_the_pace_of_the_limit_use_all_of_it() -> None:
    """The last call is not counted, since the time it takes of the limit is not either."""
    assert used_share(evenly(61, 1.0), "requests", SIXTY) == pytest.approx(1.0)
    assert used_share(evenly(61, 2.0), "requests", SIXTY) == pytest.approx(0.5)
    assert used_share(evenly(61, 1.0, tokens=50), "tokens", [Step(0.0, 6000.0)]) == pytest.approx(0.5)


def test_calls_in_flight_are_averaged_over_time() -> None:
    """Two seconds of each second-long step are two calls in flight, once the first have begun."""
    calls = evenly(1001, 1.0, seconds=2.0)
    assert used_share(calls, "concurrent", [Step(0.0, 4.0)]) == pytest.approx(0.5, abs=0.01)
    assert max(count for _, count in in_flight(calls)) == 2


def test_a_changed_limit_is_what_it_was_at_each_time() -> None:
    """Who keeps the pace of a limit that is halved uses all of it."""
    calls = [*evenly(10, 1.0), *evenly(11, 2.0, begin=10.0)]
    assert used_share(calls, "requests", [Step(0.0, 60.0), Step(10.0, 30.0)]) == pytest.approx(1.0)


def test_what_comes_before_it_has_settled_is_left_out() -> None:
    """The share is of the time from then on, and calls that began before are in flight in it."""
    calls = [*evenly(30, 2.0), *evenly(61, 1.0, begin=60.0)]
    assert used_share(calls, "requests", SIXTY, settle_seconds=60) == pytest.approx(1.0)
    long = [Admission(0.0, 100.0, 1), Admission(60.0, 1.0, 1), Admission(70.0, 1.0, 1)]
    assert used_share(long, "concurrent", [Step(0.0, 1.0)], settle_seconds=60) == pytest.approx(1.1)


def test_too_few_calls_have_no_share() -> None:
    """One call has no time between the first and the last."""
    assert math.isnan(used_share(evenly(1, 1.0), "requests", SIXTY))
    assert math.isnan(used_share(evenly(3, 1.0), "requests", SIXTY, settle_seconds=60))


def test_the_worst_window_is_found_at_any_offset() -> None:
    """A burst across the turn of a clock minute is one window."""
    calls = [*evenly(5, 10.0), *evenly(40, 0.5, begin=50.0), *evenly(10, 10.0, begin=80.0)]
    assert worst_window(calls, "requests", SIXTY) == Worst(44, 44 / 60)
    assert worst_window(calls, "tokens", [Step(0.0, 4400.0)]) == Worst(4400, 1.0)


def test_the_worst_window_is_half_open() -> None:
    """A call a whole minute after another is not in the same minute."""
    assert worst_window(evenly(121, 1.0), "requests", SIXTY).share == pytest.approx(1.0)


def test_the_worst_window_of_a_changing_limit_is_of_what_it_allowed() -> None:
    """What was rightly made under the old limit breaks no window that reaches into the lower one."""
    calls = [*evenly(60, 1.0), *evenly(60, 2.0, begin=60.0)]
    found = worst_window(calls, "requests", [Step(0.0, 60.0), Step(60.0, 30.0)])
    assert found.share == pytest.approx(1.0, abs=0.02)
    assert worst_window(evenly(121, 1.0), "requests", [Step(0.0, 60.0), Step(60.0, 30.0)]).share == pytest.approx(2.0)


times = st.lists(st.floats(0, 300, allow_nan=False), min_size=2, max_size=60, unique=True).map(sorted)


@given(times, st.floats(-30, 330))
def test_no_window_is_worse_than_the_worst(found: list[float], begin: float) -> None:
    """Whatever the calls, a minute from any time on holds no more than what was found."""
    calls = [Admission(t, 1.0, 1) for t in found]
    steps = [Step(0.0, 60.0), Step(100.0, 30.0), Step(200.0, 90.0)]
    here = sum(begin <= t < begin + 60 for t in found) / allowed(steps, "requests", begin, begin + 60)
    assert here <= worst_window(calls, "requests", steps).share + 1e-9


def admitted(seconds: list[float], tokens: list[int], limits: Limits) -> list[Admission]:
    """What the simulated provider lets in of calls that come so many seconds one after the other."""
    limiter = Limiter(limits, 1.0, 6.0, 0.0)
    calls, now = [], 0.0
    for wait, amount in zip(seconds, tokens, strict=False):
        now += wait
        if limiter.admit(amount, now) is None:
            calls.append(Admission(now, 1.0, amount))
            limiter.release()
    return calls


@pytest.mark.parametrize("kind", ["requests", "tokens"])
@given(st.lists(st.floats(0.001, 3), min_size=20, max_size=80), st.lists(st.integers(1, 900), min_size=20, max_size=80))
def test_the_account_of_the_gap_adds_up(kind: Kind, seconds: list[float], tokens: list[int]) -> None:
    """All that the provider allowed was used, ran over at a known time, or is in its bucket."""
    calls = admitted(seconds, tokens, Limits(requests_per_minute=60, tokens_per_minute=6000))
    if len(calls) < 2:
        return
    limit, burst = (60.0, 1.0) if kind == "requests" else (6000.0, 6.0)
    found = gap(calls, kind, [Step(0.0, limit)], burst)
    parts = found.made + found.start + found.stalls + found.pace + found.end + found.stored
    assert parts == pytest.approx(found.allowed, abs=1e-6)
    assert min(found.start, found.stalls, found.pace, found.end) >= 0
    # Its bucket is full at the beginning, so it can only have lost of it.
    assert found.stored <= 1e-6
    assert found.ideal_calls == pytest.approx(found.calls * found.allowed / found.made)


def test_a_stall_is_told_from_a_slow_pace() -> None:
    """Ten seconds without a call in the middle are a stall, one call in 1.1 s is the pace."""
    steady = gap(evenly(100, 1.1), "requests", SIXTY, 1.0)
    assert (steady.stalls, steady.pace > 0) == (0, True)
    halted = gap([*evenly(50, 1.0), *evenly(50, 1.0, begin=60.0)], "requests", SIXTY, 1.0)
    assert halted.stalls == pytest.approx(10.0)
    assert halted.pace == 0


def test_a_lower_limit_takes_what_its_smaller_bucket_cannot_hold() -> None:
    """The account adds up over a change as well."""
    steps = [Step(0.0, 600.0), Step(20.5, 300.0), Step(40.5, 600.0)]
    found = gap(evenly(200, 0.3), "requests", steps, 1.0)
    parts = found.made + found.start + found.stalls + found.pace + found.end + found.stored
    assert parts == pytest.approx(found.allowed)


def test_free_slots_are_the_gap_of_concurrency() -> None:
    """Two calls in flight of four leave half of it."""
    found = gap(evenly(101, 1.0), "concurrent", [Step(0.0, 4.0)], 0.0)
    assert found.made + found.start + found.pace + found.end == pytest.approx(found.allowed)
    assert found.full_share == pytest.approx(1.0)


def test_every_scenario_lasts_as_long_as_it_should() -> None:
    """A run is long enough to be measured, and where a limit must be found first, long enough after that."""
    for scenario in SCENARIOS:
        if scenario.settle_seconds:
            assert 150 <= scenario.ideal_seconds <= 200
        else:
            assert 40 <= scenario.ideal_seconds <= 75, scenario.title
        assert quick(scenario).ideal_seconds == pytest.approx(scenario.ideal_seconds / 3, rel=0.1)
