"""The line in which one process's examples wait for admission: first come, first served; only the head asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ledger.leases import Drop, Grant, Wait

Ask = Callable[[bool], Awaitable[Grant | Wait | Drop]]
"""Asks the ledger once; told whether others wait behind."""


class Line:
    """One line per model and job, so that the load on Redis does not grow with the number that wait."""

    def __init__(self) -> None:
        self.waiting = 0
        self._head = asyncio.Lock()
        self._settled = asyncio.Event()
        self._next = Wait(0, "")
        self._next_at = 0.0

    async def admit(self, ask: Ask) -> Grant | Drop:
        """Waits for its turn, then asks until the ledger says go or drop."""
        self.waiting += 1
        try:
            async with self._head:
                while True:
                    await self._until_next()
                    self._settled.clear()
                    reply = await ask(self.waiting > 1)
                    if isinstance(reply, Wait):
                        self._ask_in(reply)
                        continue
                    self._ask_in((reply.then if isinstance(reply, Grant) else None) or Wait(0, ""))
                    return reply
        finally:
            self.waiting -= 1

    def settled(self) -> None:
        """An attempt was settled in this process: a slot or money may have come free."""
        self._settled.set()

    def _ask_in(self, wait: Wait) -> None:
        self._next, self._next_at = wait, asyncio.get_running_loop().time() + wait.milliseconds / 1000

    async def _until_next(self) -> None:
        seconds = self._next_at - asyncio.get_running_loop().time()
        if seconds <= 0:
            return
        if not self._next.ends_with_settlement:
            await asyncio.sleep(seconds)
            return
        try:
            # Of settlements, those of this process are known at once.
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            pass
