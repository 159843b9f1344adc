"""Ctrl-C and SIGTERM, heeded in order."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interrupts:
    """Ctrl-C and SIGTERM, counted: the first asks to stop in order, the next to stop at once."""

    count: int = 0


@contextlib.contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Counts Ctrl-C and SIGTERM instead of ending the process."""
    seen = Interrupts()

    def count(_number: int, _frame: FrameType | None) -> None:
        seen.count += 1

    before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
