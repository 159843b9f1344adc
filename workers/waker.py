"""How other threads get the attention of Celery's event loop."""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from typing import Any


class Waker:
    """Wakes Celery's event loop from another thread, where there is something to do for it at once."""

    def __init__(self) -> None:
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def listen(self, hub: Any) -> None:
        """Called whenever the loop starts anew."""
        if self._ends is None:
            self._ends = socket.socketpair()
            for end in self._ends:
                end.setblocking(False)
        hub.add_reader(self._ends[0], partial(_drain, self._ends[0]))

    def wake(self) -> None:
        """From any thread."""
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):  # it has enough to wake for
                self._ends[1].send(b"\0")

    def close(self) -> None:
        """Nobody listens any more."""
        for end in self._ends or ():
            end.close()


def _drain(receiving: socket.socket, *_: Any) -> None:
    with contextlib.suppress(BlockingIOError):
        while receiving.recv(4096):
            pass
