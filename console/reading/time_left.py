"""How long a job will still take, as a range."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from console.reading.rate import MINUTE, Growth, Reading, growth, since_first

_RECENT = 5 * MINUTE
#: The spans whose rates are compared, in seconds; None is the whole run.
_SPANS = (MINUTE, _RECENT, None)
#: Fewer settled examples than this say nothing of a rate.
_ENOUGH = 3

R = TypeVar("R", bound=Reading)


class Left(NamedTuple):
    """Seconds until a job is complete; `high` is infinite where next to nothing has come for a minute."""

    low: float
    likely: float
    high: float


def time_left(readings: Sequence[R], todo: int, each: float = 1.0) -> Left | None:
    """How long `todo` examples will still take; None before enough of them came, or where nothing comes any more.

    Those that wait take what they have taken so far. Three rates are compared: of the last minute, of the last five,
    and of the run since its first result. The likely time goes by the middle one, the range by the fastest and the
    slowest, each off by one standard error of its count: n examples by chance are n ± √n. At the beginning, when calls
    have started and few have ended, the rate of starts is the fastest.

    Then the last calls end. With a mean latency L, which is calls in flight over rate (Little's law), the longest of n
    calls takes L (0.58 + ln n) where latencies are exponential, and less where they are more alike. So the likely
    time has L (1 + ln n) / 2 on top, the ends of the range L ln n / 4 and L (2 + ln n).

    Args:
        readings: of the job, the earliest first, the last of now.
        todo: examples that are not settled, those in flight among them.
        each: examples of a call.
    """
    if todo <= 0:
        return Left(0.0, 0.0, 0.0)
    begun = since_first(readings)
    seen = [one for one in (growth(begun, span) for span in _SPANS) if one.seconds > 0]
    if not seen or seen[-1].amount < _ENOUGH:
        return None
    middle = sorted(one.amount / one.seconds for one in seen)[len(seen) // 2]
    if middle <= 0:
        return None
    running = min(todo, readings[-1].running * each)
    started = growth(readings, of=lambda one: one.settled + each * one.running)
    fast = max(started.amount / started.seconds, *(_off_by_one_error(one, 1) for one in seen))
    slow = min(_off_by_one_error(one, -1) for one in seen)
    latency, calls = each * _latency(begun), math.log(max(1, running / each))
    waiting = todo - running
    return Left(
        waiting / fast + latency * calls / 4,
        waiting / middle + latency * (1 + calls) / 2,
        (waiting / slow if slow > 0 else math.inf if waiting else 0.0) + latency * (2 + calls),
    )


def _off_by_one_error(seen: Growth, sign: int) -> float:
    """Examples a second; the more were counted the surer."""
    return max(0.0, seen.amount + sign * math.sqrt(seen.amount)) / seen.seconds


def _latency(readings: Sequence[R]) -> float:
    """The mean of calls in flight over the rate of results, in the last five minutes or else in the whole run."""
    recent: Sequence[R] = [one for one in readings if one.at >= readings[-1].at - _RECENT]
    came = growth(readings, _RECENT)
    if came.amount <= 0:
        came, recent = growth(readings), readings
    pairs = itertools.pairwise(recent)
    busy = sum((before.running + after.running) / 2 * (after.at - before.at) for before, after in pairs)
    return busy / came.amount if came.amount > 0 else 0.0
