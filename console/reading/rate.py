"""How fast something grows, by readings of its counter: over the last minute, over the whole run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

MINUTE = 60.0


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


def growth(readings: Sequence[R], seconds: float | None = None, of: Callable[[R], float] = _settled) -> Growth:
    """What came within the last `seconds` before the last reading; None for all of the time.

    Where the span begins between two readings, so much of what came between them counts as lies in it. A counter that
    falls, as that of the settled does when rejected examples are enqueued again, has not grown.

    Args:
        readings: the earliest first, of time that was worked (`console.reading.course`).
        seconds: how far back.
        of: the counter, by default that of the settled examples.
    """
    since = None if seconds is None or not readings else readings[-1].at - seconds
    amount = time = 0.0
    for after, before in itertools.pairwise(reversed(readings)):
        lasted = after.at - before.at
        if lasted <= 0:
            continue
        came = max(0.0, of(after) - of(before))
        if since is not None and before.at < since:
            part = max(0.0, after.at - since)
            return Growth(amount + came * part / lasted, time + part)
        amount, time = amount + came, time + lasted
    return Growth(amount, time)


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
