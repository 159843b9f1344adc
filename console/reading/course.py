"""The course of a job: its readings, on a clock that stands still while nobody works on it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace

from ledger.history import JobReading

_GAP_SECONDS = 30.0
#: Of a long job the ledger's readings are a thousandth of its time apart.
_GAP_SHARE = 3 / 1000
#: Older readings of a long job are thinned to so many: each is gone through several times a second.
_KEPT = 1_000
_RECENT_SECONDS = 600.0


class Course:
    """A job's readings since its first call.

    While a job rests, or no worker lives, nobody takes readings: of such a gap as much time counts as what came in it
    took at the usual rate.

    Args:
        first: when the job's first call was made, in seconds since 1970.
    """

    def __init__(self, first: float) -> None:
        self.first = self.until = first
        """When the first call was made, and the last reading taken."""
        self._readings = [JobReading(first, 0, 0, 0, 0, 0, 0, 0)]
        self._rested = 0.0
        # What came between readings without a gap, and in how many seconds.
        self._came = self._seconds = 0.0

    def add(self, reading: JobReading) -> None:
        """A reading that was taken after all others; one that was not says nothing new."""
        lasted = reading.at - self.until
        if lasted <= 0:
            return
        if self._is_gap(reading):
            self._rested += self._rest(reading)
        else:
            self._came += self._grown(reading)
            self._seconds += lasted
        self.until = reading.at
        self._readings.append(self._on_the_clock(reading))
        if len(self._readings) > 2 * _KEPT:
            self._thin()

    def up_to(self, end: JobReading, *, rests: bool) -> list[JobReading]:
        """The readings before `end`, the earliest first, and that one; their times are those of the clock.

        Unless the job `rests` by now, the time since the last reading was worked: nobody knows better yet.
        """
        rest = self._rest(end) if rests and self._is_gap(end) else 0.0
        last = replace(end, at=end.at - self._rested - rest)
        return [*self._readings[: bisect_left(self._readings, last.at, key=_at)], last]

    def _on_the_clock(self, reading: JobReading) -> JobReading:
        return replace(reading, at=reading.at - self._rested) if self._rested else reading

    def _is_gap(self, reading: JobReading) -> bool:
        return reading.at - self.until > max(_GAP_SECONDS, _GAP_SHARE * (reading.at - self.first))

    def _grown(self, reading: JobReading) -> int:
        return max(0, reading.settled - self._readings[-1].settled)

    def _rest(self, reading: JobReading) -> float:
        """Of the gap before a reading, the seconds in which nobody worked."""
        lasted, came = reading.at - self.until, self._grown(reading)
        if not self._came:
            return 0.0 if came else lasted
        return lasted - min(lasted, came * self._seconds / self._came)

    def _thin(self) -> None:
        """Keeps of older readings the first in each of equal spans of time."""
        recent = bisect_left(self._readings, self._readings[-1].at - _RECENT_SECONDS, key=_at)
        older = self._readings[:recent]
        begin, span = older[0].at, (older[-1].at - older[0].at) / _KEPT
        self._readings = [*_first_of_each(older, begin, span), *self._readings[recent:]]


def _first_of_each(readings: list[JobReading], begin: float, span: float) -> Iterator[JobReading]:
    edge = begin
    for one in readings:
        if one.at >= edge:
            yield one
            edge = begin + span * (1 + (one.at - begin) // span)


def _at(reading: JobReading) -> float:
    return reading.at
