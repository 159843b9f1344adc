"""How fast something grows, by readings of its counter: over the last minute, over the whole run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

MINUTE = 60.0
_GAP_SECONDS = 30.0
#: Of a long job the ledger's readings are a thousandth of its time apart.
_GAP_SHARE = 3 / 1000


class Reading(Protocol):
    """Counters at a moment; `ledger.history.JobReading` is one."""

    @property
    def at(self) -> float:
        """Seconds since 1970, by the broker's clock."""

    @property
    def settled(self) -> int:
        """Examples that are accepted or rejected."""

    @property
    def running(self) -> int:
        """Calls in flight."""


class Point(NamedTuple):
    """The least that is a reading."""

    at: float
    settled: int
    running: int = 0


class Growth(NamedTuple):
    """How much came in how many seconds."""

    amount: float
    seconds: float

    @property
    def per_minute(self) -> float:
        """The rate; 0 where there was no time."""
        return 60 * self.amount / self.seconds if self.seconds > 0 else 0.0


R = TypeVar("R", bound=Reading)


def _settled(reading: Reading) -> float:
    return reading.settled


def growth(
    readings: Sequence[R], seconds: float | None = None, of: Callable[[R], float] = _settled, *, rests: bool = False
) -> Growth:
    """What came within the last `seconds` before the last reading; None for all of the time.

    Where the span begins between two readings, so much of what came between them counts as lies in it. While a job is
    at rest, or no worker lives, nobody takes readings: of such a gap as much time counts as its growth took at the
    usual rate. Time since the last but one reading counts whole, unless the job `rests`. A counter that falls, as that
    of the settled does when rejected examples are enqueued again, has not grown.

    Args:
        readings: the earliest first.
        seconds: how far back.
        of: the counter, by default that of the settled examples.
        rests: nobody works on it any more.
    """
    since = None if seconds is None or not readings else readings[-1].at - seconds
    usual = _Usual(readings, of)
    amount = time = 0.0
    for place in range(len(readings) - 1, 0, -1):
        before, after = readings[place - 1], readings[place]
        came = max(0.0, of(after) - of(before))
        lasted = after.at - before.at
        if place < len(readings) - 1 or rests:
            lasted = usual.worked(before, after, came)
        if lasted <= 0:
            continue
        if since is not None and after.at - lasted < since:
            part = max(0.0, after.at - since)
            return Growth(amount + came * part / lasted, time + part)
        amount, time = amount + came, time + lasted
    return Growth(amount, time)


class _Usual(Generic[R]):
    """How far apart readings usually are, and how fast the counter grows between them."""

    def __init__(self, readings: Sequence[R], of: Callable[[R], float]) -> None:
        self._readings = readings
        self._of = of
        self._rate: float | None = None

    def worked(self, before: R, after: R, came: float) -> float:
        """Seconds of work between two readings."""
        lasted = after.at - before.at
        if not self._is_gap(before, after):
            return lasted
        if self._rate is None:
            pairs = [pair for pair in itertools.pairwise(self._readings) if not self._is_gap(*pair)]
            seconds = sum(two.at - one.at for one, two in pairs)
            self._rate = sum(max(0.0, self._of(two) - self._of(one)) for one, two in pairs) / (seconds or 1.0)
        return min(lasted, came / self._rate) if self._rate else (lasted if came else 0.0)

    def _is_gap(self, before: R, after: R) -> bool:
        return after.at - before.at > max(_GAP_SECONDS, _GAP_SHARE * (after.at - self._readings[0].at))


def since_first(readings: Sequence[R]) -> Sequence[R]:
    """The readings from the first on in which anything was settled.

    Before it the first calls were on their way, which says nothing of how fast they come; all of the readings where
    that leaves fewer than two.
    """
    for place, reading in enumerate(readings):
        if reading.settled > 0:
            return readings[place:] if len(readings) - place > 1 else readings
    return readings


def now_per_minute(readings: Sequence[R]) -> float:
    """Examples a minute over the last minute, or over as much of it as there is."""
    return growth(since_first(readings), MINUTE).per_minute
