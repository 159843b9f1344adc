"""The limits of one model: requests and tokens as continuous buckets, and calls in flight.

Nothing here reads a clock: `now` is in seconds, of any clock that does not run backwards.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from config.models import Limits

LimitName = Literal["requests_per_minute", "tokens_per_minute", "concurrent_requests"]

#: What a refusal for concurrency tells the caller to wait: when a call will end is not known.
CONCURRENCY_WAIT_SECONDS = 1.0

_ROUNDING = 1e-6


class Refusal(NamedTuple):
    """Which limit refused a call, and the seconds after which it would fit if no other call came."""

    limit: LimitName
    seconds: float


class Bucket:
    """Refills at a constant rate up to its capacity, which it has at the start.

    An amount above the capacity needs a full bucket and leaves it in debt, so that no call waits for ever and
    the rate over time is still exact.
    """

    def __init__(self, per_minute: float, burst_seconds: float, now: float) -> None:
        self.rate = per_minute / 60
        self.capacity = self.rate * burst_seconds
        self._level = self.capacity
        self._at = now

    def level(self, now: float) -> float:
        """What is in it; negative when in debt."""
        self._level = min(self.capacity, self._level + max(0.0, now - self._at) * self.rate)
        self._at = max(self._at, now)
        return self._level

    def wait_seconds(self, amount: float, now: float) -> float:
        """The seconds until the amount would fit; 0.0 if it fits now."""
        missing = min(amount, self.capacity) - self.level(now)
        if missing <= _ROUNDING:
            return 0.0
        # Up to the next millisecond and one more, so that rounding never makes the wait too short.
        return (math.ceil(missing / self.rate * 1000) + 1) / 1000

    def take(self, amount: float, now: float) -> None:
        """Debit the amount, whether it fits or not."""
        self._level = self.level(now) - amount

    def change(self, per_minute: float, burst_seconds: float, now: float) -> None:
        """Go on at another rate; what is in it stays, up to the new capacity."""
        self.level(now)
        self.rate = per_minute / 60
        self.capacity = self.rate * burst_seconds
        self._level = min(self._level, self.capacity)


class Limiter:
    """All limits of one model; a call is admitted by all of them or debits none.

    Attributes:
        in_flight: calls admitted and not yet released.
        requests, tokens: the buckets; None where there is no such limit.
    """

    def __init__(self, limits: Limits, burst_seconds_requests: float, burst_seconds_tokens: float, now: float) -> None:
        self.in_flight = 0
        self.requests: Bucket | None = None
        self.tokens: Bucket | None = None
        self._bursts = burst_seconds_requests, burst_seconds_tokens
        self.change(limits, now)

    def change(self, limits: Limits, now: float) -> None:
        """Go on under other limits."""
        self.limits = limits
        self.requests = _changed(self.requests, limits.requests_per_minute, self._bursts[0], now)
        self.tokens = _changed(self.tokens, limits.tokens_per_minute, self._bursts[1], now)

    def refusal(self, tokens: int, now: float) -> Refusal | None:
        """Why a call of that many tokens cannot start now, or None; debits nothing."""
        waits: list[Refusal] = []
        concurrent = self.limits.concurrent_requests
        if concurrent is not None and self.in_flight >= concurrent:
            waits.append(Refusal("concurrent_requests", CONCURRENCY_WAIT_SECONDS))
        if self.requests is not None:
            waits.append(Refusal("requests_per_minute", self.requests.wait_seconds(1, now)))
        if self.tokens is not None:
            waits.append(Refusal("tokens_per_minute", self.tokens.wait_seconds(tokens, now)))
        longest = max(waits, key=lambda wait: wait.seconds, default=None)
        return longest if longest is not None and longest.seconds > 0 else None

    def admit(self, tokens: int, now: float) -> Refusal | None:
        """Start a call of that many tokens, or say why not; a refusal debits nothing."""
        refusal = self.refusal(tokens, now)
        if refusal is None:
            self.in_flight += 1
            if self.requests is not None:
                self.requests.take(1, now)
            if self.tokens is not None:
                self.tokens.take(tokens, now)
        return refusal

    def release(self) -> None:
        """A call that was admitted has ended."""
        self.in_flight -= 1


def _changed(bucket: Bucket | None, per_minute: float | None, burst_seconds: float, now: float) -> Bucket | None:
    if per_minute is None:
        return None
    if bucket is None:
        return Bucket(per_minute, burst_seconds, now)
    bucket.change(per_minute, burst_seconds, now)
    return bucket
