"""How other threads get the attention of Celery's event loop."""

from __future__ import annotations

import contextlib
import socket
from typing import Any


class Waker:
    """Wakes Celery's event loop from another thread, where there is something to do for it at once."""

    def __init__(self) -> None:
        self._receiving, self._sending = socket.socketpair()
        for end in (self._receiving, self._sending):
            end.setblocking(False)

    def listen(self, hub: Any) -> None:
        """Called whenever the loop starts anew."""
        hub.add_reader(self._receiving, self._drain)

    def wake(self) -> None:
        """From any thread."""
        with contextlib.suppress(BlockingIOError):  # it has enough to wake for
            self._sending.send(b"\0")

    def close(self) -> None:
        """Nobody listens any more."""
        self._receiving.close()
        self._sending.close()

    def _drain(self, *_: Any) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._receiving.recv(4096):
                pass
