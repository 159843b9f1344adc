"""Recipes' checks that may never end, in a thread of their own: such a one costs its example, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

#: No check of an answer takes so long, unless it never ends.
MOST_SECONDS = 30.0


class CheckHangs(Exception):
    """A check has not ended in time; it is left to itself."""


class _Thread(threading.Thread):
    def __init__(self, work: SimpleQueue[Callable[[], None]]) -> None:
        super().__init__(name="checks", daemon=True)
        self._work = work
        self.current: object = None
        self.since = 0.0
        self.abandoned = False

    def run(self) -> None:
        while not self.abandoned:
            do = self._work.get()
            self.since, self.current = monotonic(), do
            do()
            self.current = None


class Checks:
    """One check at a time, as on the event loop before: what checks call need not stand several threads.

    Attributes:
        hung: how many checks have been left to themselves; each may keep a thread busy for ever.
    """

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self.hung = 0
        self._most = most_seconds
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: _Thread | None = None

    async def run(self, check: Callable[[], T]) -> T:
        """What the check gives, or raises.

        Raises:
            CheckHangs: it has not ended in time.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[T] = loop.create_future()

        def do() -> None:
            try:
                result = check()
            except BaseException as error:  # whatever it is, it is raised where the result is awaited
                raised = _raisable(error)
                tell(lambda: ended.set_exception(raised))
            else:
                tell(lambda: ended.set_result(result))

        def tell(what: Callable[[], None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile, and nobody waits any more
                loop.call_soon_threadsafe(lambda: None if ended.done() else what())

        if self._thread is None:
            self._thread = _Thread(self._work)
            self._thread.start()
        self._work.put(do)
        while not ended.done():
            # Seen through although the task is cancelled meanwhile: the answer is paid for.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([ended], timeout=self._most)
            thread = self._thread
            if not ended.done() and thread.current is do and monotonic() - thread.since >= self._most:
                # Those behind it go on in another thread.
                thread.abandoned = True
                self.hung += 1
                self._thread = _Thread(self._work)
                self._thread.start()
                ended.cancel()
                raise CheckHangs
        return ended.result()


def _raisable(error: BaseException) -> Exception:
    """The error as one that a future takes: an exit asked for by a check must not end the event loop."""
    return error if isinstance(error, Exception) and not isinstance(error, StopIteration) else RuntimeError(repr(error))
