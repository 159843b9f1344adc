"""Asking the broker until it answers, and saying once what is the matter for all who wait."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

import redis

from config.logs import log
from ledger.damaged import Damaged
from ledger.trouble import passing

#: The most seconds between two questions.
RETRY_MOST = 2.0
_COMPLAINT_SECONDS = 30.0

Question = Callable[[], Coroutine[Any, Any, Any]]


class Stopped(Exception):
    """The process drains and the example is not settled: it goes back to the queue."""


class Patience:
    """How the tasks of one process ask.

    Attributes:
        late: the process has no more time, so what the journal holds is left to whoever starts next on this machine.
    """

    def __init__(self) -> None:
        self.late = False
        self._trouble, self._complained = "", 0.0

    async def ask(self, question: Question, keep: Callable[[], None] | None = None) -> Any:
        """Asks until the broker answers; `keep` writes down what is asked before it is asked again.

        Raises:
            Stopped: it is written down, and the process has no more time.
            Damaged: a script of the ledger breaks on what stands in the broker.
        """
        pause = 0.1
        while True:
            try:
                return await question()
            except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError) as error:
                trouble = passing(error)
                if trouble is not None:
                    self.complain(trouble)
                if keep is not None:
                    try:
                        keep()
                    except OSError as disk:
                        # It stays in memory and is tried again: lost only if this process dies meanwhile too.
                        log("journal_unwritable", why=disk.strerror)
                    else:
                        if self.late:
                            raise Stopped from None
                if trouble is None:
                    raise Damaged("a script of the ledger breaks on what stands in the broker.") from None
            await asyncio.sleep(pause)
            pause = min(RETRY_MOST, pause * 2)

    def complain(self, trouble: str) -> None:
        """Says what is the matter, once for all the tasks that meet it."""
        now = time.monotonic()
        if trouble != self._trouble or now > self._complained + _COMPLAINT_SECONDS:
            self._trouble, self._complained = trouble, now
            log("broker_trouble", trouble=trouble)


async def uncut(work: Coroutine[Any, Any, Any]) -> Any:
    """Sees the work through although this task is cancelled meanwhile: what was paid for reaches the ledger."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()
