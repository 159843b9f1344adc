"""The server's time in a process that cannot ask for it each time: an answer that was paid for is dated also while the
broker is away, and this machine's own clock may be wrong by hours."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ledger.connection import Redis, clock

_SLOW_SECONDS = 1.0  # an answer that took longer says too little about when it was given


class ServerClock:
    """Goes on by this machine's steady clock from the last time that the server told; until then by its own."""

    def __init__(self) -> None:
        self._ahead: float | None = None

    def ask(self, redis: Redis) -> None:
        """Asks the server. Raises redis.RedisError."""
        began = time.monotonic()
        there = clock(redis)
        took = time.monotonic() - began
        if took < _SLOW_SECONDS or self._ahead is None:
            self._ahead = there - (began + took / 2)

    def now(self) -> datetime:
        """The server's time, in UTC."""
        if self._ahead is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(time.monotonic() + self._ahead, UTC)
