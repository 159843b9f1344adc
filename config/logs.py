"""The log: events of the catalogue, one line each, plain for people or JSON for machines.

It goes through Python's own logging, so that Celery's, Flower's and other libraries' lines take the same way and form.
They come out as the event `library`, from WARNING on.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any

from config.errors import SettingsError
from config.events import EVENTS, WARNING
from config.settings import settings

_logger = logging.getLogger("genfleet")
_bound: ContextVar[dict[str, Any]] = ContextVar("bound", default={})  # noqa: B039  it is never changed in place
_MOST_TEXT = 2_000  # characters of a library's line
_MOST_FRAMES = 6


def log(event: str, **fields: Any) -> None:
    """Logs an event of the catalogue with its fields."""
    found = EVENTS[event]
    if _logger.isEnabledFor(found.level):
        known = fields if found.alone else _bound.get() | fields
        _logger.log(found.level, "%s", found.sentence(known), extra={"event": event, "fields": known})


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Gives every event inside, in this thread or asyncio task, these fields too."""
    token = _bound.set(_bound.get() | fields)
    try:
        yield
    finally:
        _bound.reset(token)


def where(error: BaseException) -> str:
    """The places in the code that an error came by, the innermost last, without its text, which may quote anything."""
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    return " > ".join(f"{Path(name).name}:{line}" for name, line in frames[-_MOST_FRAMES:]) or "no place"


def as_json() -> bool:
    """Whether machines read what this process says."""
    try:
        return settings().log_format == "json"
    except SettingsError:  # it is said by whoever needs the settings
        return False


def say(event: str, **fields: Any) -> None:
    """An event that people read on standard output, as whoever started the command expects; a machine in the log."""
    if as_json():
        log(event, **fields)
    else:
        print(EVENTS[event].sentence(fields), flush=True)


def tell(text: str) -> None:
    """A sentence for whoever started the command, on standard error: as it is for people, an event for a machine."""
    if as_json():
        log("notice", text=text)
    else:
        print(text, file=sys.stderr, flush=True)


def configure(level: int | None = None, file: str | None = None) -> None:
    """Makes this process log in the form that GENFLEET_LOG_FORMAT names.

    Args:
        level: from which on libraries' lines are told; by default WARNING.
        file: where to; by default standard error.
    """
    handler = logging.StreamHandler(sys.stderr) if file is None else WatchedFileHandler(file, encoding="utf-8")
    handler.setFormatter(_Json() if as_json() else _Plain())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level or WARNING)
    _logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    if as_json():
        sys.excepthook = _crashed
        threading.excepthook = lambda args: _crashed(args.exc_type, args.exc_value, args.exc_traceback)


def _crashed(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, KeyboardInterrupt):
        log("crashed", error=kind.__name__, where=where(error))


def _told(record: logging.LogRecord) -> tuple[str, dict[str, Any], str]:
    """An event's name, its fields and its sentence; of a library's record what it comes to."""
    event = getattr(record, "event", None)
    if isinstance(event, str) and event in EVENTS:
        return event, getattr(record, "fields", {}), record.getMessage()
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if record.name == "celery.app.trace" and isinstance(record.args, dict) and "id" in record.args:
        # Celery would quote the error's text.
        kind = type(error).__name__ if error is not None else "an error"
        fields = {"task": record.args["id"], "error": kind, "where": "no place" if error is None else where(error)}
        return "task_failed", fields, EVENTS["task_failed"].sentence(fields)
    said = record.getMessage()
    if error is not None:
        # What follows the first line quotes the error, as asyncio does.
        said = f"{said.partition(chr(10))[0]} ({type(error).__name__} at {where(error)})"
    text = " ".join(said.split())[:_MOST_TEXT]
    fields = {"logger": record.name, "text": text}
    return "library", fields, EVENTS["library"].sentence(fields)


class _Plain(logging.Formatter):
    """What a command says to people as it is; what they should look at with its time and level."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        _, fields, sentence = _told(record)
        line = " ".join(sentence.split()) if record.levelno >= WARNING else sentence
        ids = [f"{name} {fields[name]}" for name in ("job", "unit") if name in fields and str(fields[name]) not in line]
        if ids:
            line += f" ({', '.join(ids)})"
        return f"{self.formatTime(record)} {record.levelname} {line}" if record.levelno >= WARNING else line


class _Json(logging.Formatter):
    """An object a line: when, level, event, its fields, and the sentence that people would see."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        event, fields, sentence = _told(record)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        # A text of many is its own message, and not told twice.
        message = fields.get("text", sentence)
        told = {"at": at, "level": record.levelname.lower(), "event": event, "message": message}
        told |= {name: value for name, value in fields.items() if name != "text"}
        return json.dumps(told, ensure_ascii=False, default=str)
