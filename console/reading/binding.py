"""What holds a model back: the limits in force, how much of each is used, and which of them calls wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ledger.history import ModelReading

Binds = Literal["requests", "tokens", "concurrent", "pause", "workers"]
"""A limit on requests or tokens a minute or on calls in flight, a pause after a 429, or too few workers."""

#: Of a line's time; less is the pace that any limit sets now and then.
_FELT = 0.1
_LIMITS: tuple[Binds, ...] = ("requests", "tokens", "concurrent", "pause")


@dataclass(frozen=True)
class Gauge:
    """How much of a limit is used.

    Attributes:
        name: requests (a minute), tokens (a minute) or concurrent (calls in flight).
        used: in the last minute, or now.
        limit: in force, as refusals have left it; None where there is none.
    """

    name: Literal["requests", "tokens", "concurrent"]
    used: int
    limit: float | None

    @property
    def share(self) -> float | None:
        """Of the limit; None where there is none."""
        return None if not self.limit else self.used / self.limit


def gauges(reading: ModelReading) -> tuple[Gauge, Gauge, Gauge]:
    """Requests, tokens and calls in flight of a model, each with what refusals have left of its limit.

    Refusals shrink the limits a minute and not that on calls in flight (admit.lua).
    """

    def left(limit: float | None) -> float | None:
        return None if limit is None else limit * reading.share

    return (
        Gauge("requests", reading.requests, left(reading.rpm)),
        Gauge("tokens", reading.tokens, left(reading.tpm)),
        Gauge("concurrent", reading.in_flight, reading.concurrent),
    )


def waits(readings: Sequence[ModelReading], seconds: float = 60.0) -> dict[Binds, float]:
    """For which limits lines of workers were told to wait in the last `seconds`, in seconds of waiting a second.

    Args:
        readings: of the model, the earliest first, the last of now.
        seconds: how far back.
    """
    if len(readings) < 2:
        return {}
    last = readings[-1]
    first = next(one for one in readings if one.at >= last.at - seconds)
    # A span shorter than what lies between two readings is measured over one of these.
    first = readings[-2] if first is last else first
    return waits_between(first.waited, last.waited, last.at - first.at)


def waits_between(before: Mapping[str, int], after: Mapping[str, int], seconds: float) -> dict[Binds, float]:
    """As `waits`, from what was waited in all (milliseconds by what bound) at both ends of a span of `seconds`."""
    if seconds <= 0:
        return {}
    waited = {name: max(0, after.get(name, 0) - before.get(name, 0)) / 1000 / seconds for name in _LIMITS}
    return {name: share for name, share in waited.items() if share}


def binding(waited: Mapping[Binds, float], queued: int = 0) -> Binds | None:
    """What binds: what was waited for longest, if long enough to be felt; else workers, where examples are queued.

    Args:
        waited: see `waits`.
        queued: examples that nobody has taken up.
    """
    most = max(waited, key=waited.__getitem__, default=None)
    if most is not None and waited[most] >= _FELT:
        return most
    return "workers" if queued > 0 else None
