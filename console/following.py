"""A job shown until it is complete, rests, or whoever looks has seen enough."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import redis as redis_py
from redis.exceptions import AuthenticationError, NoPermissionError

from console.interrupts import Interrupts
from console.progress import Progress
from console.reading.watching import Watcher
from ledger.connection import Redis
from ledger.jobs import AT_REST
from ledger.status import Status, status_of

_EVERY_SECONDS, _READ_EVERY_SECONDS, _AWAY_SECONDS = 0.25, 0.5, 0.5


def follow(
    redis: Redis,
    job: str,
    progress: Progress,
    seen: Interrupts,
    look: Callable[[], None] = lambda: None,
) -> Status:
    """Shows the job until it is complete, rests or Ctrl-C is pressed, through the broker's absences.

    `look` is called on each round, to see after what the job needs. Gives the job's last status.

    Raises:
        redis.RedisError: Ctrl-C was pressed while the broker was away, or it refuses this user.
    """
    watcher, next_reading = Watcher(redis, job), 0.0
    while True:
        try:
            status = status_of(redis, job)
            look()
            rests = bool(seen.count) or status.state in AT_REST
            if rests or time.monotonic() >= next_reading:
                progress.show(watcher.read(status))
                next_reading = time.monotonic() + _READ_EVERY_SECONDS
        except (AuthenticationError, NoPermissionError):
            raise
        except redis_py.RedisError as error:
            if seen.count:
                raise
            progress.away(type(error).__name__)
            time.sleep(_AWAY_SECONDS)
            continue
        if rests:
            return status
        time.sleep(_EVERY_SECONDS)


@contextlib.contextmanager
def shown_meanwhile(redis: Redis, job: str, progress: Progress) -> Iterator[None]:
    """Goes on showing the job in a thread, while this one waits for something to end."""
    ended, watcher = threading.Event(), Watcher(redis, job)

    def show() -> None:
        while not ended.wait(_READ_EVERY_SECONDS):
            try:
                progress.show(watcher.read())
            except redis_py.RedisError as error:
                progress.away(type(error).__name__)

    thread = threading.Thread(target=show, name="showing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
