"""Plain functions on an event loop: each runs in a greenlet, which waits for a coroutine without keeping a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

T = TypeVar("T")


def begin(work: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
    """Runs `work` on the loop, soon; to be called from any thread."""
    # A greenlet belongs to the thread that makes it.
    loop.call_soon_threadsafe(lambda: greenlet(work).switch())


def wait_for(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """What the coroutine gives, from within such a function: the loop goes on meanwhile.

    Raises asyncio.CancelledError where the coroutine was cancelled.
    """
    here = getcurrent()
    task = loop.create_task(coroutine)
    task.add_done_callback(lambda _: here.switch())
    cast("greenlet", here.parent).switch()
    return task.result()
