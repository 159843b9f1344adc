"""The line in which one process's examples wait for admission: first come, first served; only the head asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ledger.leases import Drop, Grant, Wait


class Line:
    """One line per model and job, so that the load on Redis does not grow with the number that wait."""

    def __init__(self) -> None:
        self._head = asyncio.Lock()
        self._settled = asyncio.Event()

    async def admit(self, ask: Callable[[], Awaitable[Grant | Wait | Drop]]) -> Grant | Drop:
        """Waits for its turn, then asks until the ledger says go or drop."""
        async with self._head:
            while True:
                self._settled.clear()
                reply = await ask()
                if not isinstance(reply, Wait):
                    return reply
                seconds = reply.milliseconds / 1000
                if reply.binds in ("concurrent", "budget"):
                    # What binds comes free with a settlement, of which those of this process are known at once.
                    await _wait(self._settled, seconds)
                else:
                    await asyncio.sleep(seconds)

    def settled(self) -> None:
        """An attempt was settled in this process: a slot or money may have come free."""
        self._settled.set()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
