"""Keys that are pressed while something is drawn, each as it comes."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator


class Keys:
    """What is typed; nothing where standard input is no terminal."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def pressed(self, seconds: float) -> str:
        """What is typed within so many seconds, as soon as anything is; "" where nothing is."""
        if self._descriptor is None:
            time.sleep(seconds)
            return ""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return ""
        typed = os.read(self._descriptor, 1024)
        if not typed:
            # The terminal is gone, and would be ready for ever.
            self._descriptor = None
        return typed.decode("utf-8", "replace")


@contextlib.contextmanager
def keys() -> Iterator[Keys]:
    """The terminal gives each key at once and does not show it, until this is left."""
    if not sys.stdin.isatty():
        yield Keys(None)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield Keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
