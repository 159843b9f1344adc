"""Where tasks run: Celery's pool of threads without the threads.

Celery's own way of a task stays as it is, from its message to the events for Flower; but it runs in a greenlet on the
event loop on which the calls are made. A thread for each would cost two switches of threads a task, a tenth of what an
example costs in all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.concurrency.base import BasePool, apply_target

from workers.runtime import process, waker
from workers.turns import AT_ONCE

_LOOK_SECONDS = 0.2


class Pool(BasePool):
    """A pool of tasks, `limit` of which have a place in the process at a time."""

    body_can_be_buffer = True
    signal_safe = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._running = 0
        self._ended = threading.Condition()

    @property
    def ahead(self) -> int:
        """Tasks that begin here before there is a place for them, so that Celery need not ask for each by itself."""
        return min(AT_ONCE, int(self.limit) // AT_ONCE)

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> None:
        """Begins a task soon; one that comes after the event loop has ended never begins, and is sent again."""
        process().begin(partial(self._run, partial(apply_target, target, args, kwargs, callback, accept_callback)))

    def _run(self, task: Callable[[], None]) -> None:
        with self._ended:
            self._running += 1
        try:
            task()
        finally:
            with self._ended:
                self._running -= 1
                self._ended.notify_all()
            if self._running <= self.limit:
                # Nobody waits for a place any more. Celery's own loop would find out when something else wakes it.
                waker.wake()

    def on_stop(self) -> None:
        """Waits for the tasks that have begun, but for such as began when the event loop was about to end."""
        with self._ended:
            while self._running and not process().closed:
                self._ended.wait(_LOOK_SECONDS)
