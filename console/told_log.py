"""The log while a command tells how far its job is: lines go above a live display, and nothing is told twice."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_twice() -> Iterator[None]:
    """Leaves out what the command tells itself: that the broker is away."""
    for handler in logging.root.handlers:
        handler.addFilter(_said_elsewhere)
    try:
        yield
    finally:
        for handler in logging.root.handlers:
            handler.removeFilter(_said_elsewhere)


def _said_elsewhere(record: logging.LogRecord) -> bool:
    """Lets a record through unless it tells of a broker that is away."""
    why = getattr(record, "fields", {}).get("why", "")
    return getattr(record, "event", None) != "collecting_waits" or "does not answer" not in why


@contextmanager
def above() -> Iterator[None]:
    """Log lines go above a live display, which stands in the place of standard error by now, instead of through it."""
    handlers = [one for one in logging.root.handlers if isinstance(one, logging.StreamHandler)]
    before = [(one, one.setStream(sys.stderr)) for one in handlers if not isinstance(one, logging.FileHandler)]
    try:
        yield
    finally:
        for handler, stream in before:
            if stream is not None:
                handler.setStream(stream)
