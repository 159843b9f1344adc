"""How far a job is, as it goes: a live display in a terminal; lines for people or for machines where there is none."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from types import TracebackType

from rich.console import Console

from config import logs
from config.logs import log, tell
from console import told_log
from console.display import Display
from console.reading.watching import Watched, as_json
from console.screens.line import log_reading, plain

#: Plain lines are this far apart at first, then a fiftieth of the time so far, and at most a minute.
_LINE_EVERY_SECONDS, _LINE_SHARE, _LINE_MOST_SECONDS = 5.0, 0.02, 60.0


class Progress:
    """Shows a job each time it is given a reading, on standard error.

    Args:
        every: seconds between two lines where there is no terminal; None lets them grow rarer.
        json_lines: readings as JSON on standard output, and no display.
    """

    def __init__(self, every: float | None = None, *, json_lines: bool = False) -> None:
        console = Console(stderr=True)
        self.is_live = console.is_terminal and not json_lines and not logs.as_json()
        """Whether there is a terminal to draw in, and a person before it."""
        self._shown: Display | _Lines = Display(console) if self.is_live else _Lines(every, json_lines)
        self._stack = ExitStack()

    def __enter__(self) -> Progress:
        self._stack.callback(self._shown.close)
        self._stack.enter_context(told_log.nothing_twice())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def starting(self) -> bool:
        """Whether workers are on their way where there are none."""
        return self._shown.starting

    @starting.setter
    def starting(self, starting: bool) -> None:
        self._shown.starting = starting

    def say(self, message: str) -> None:
        """A line above the display."""
        self._shown.say(message)

    def wait(self, message: str) -> None:
        """What is waited for before there is a job to show; in a terminal the job then takes its place."""
        self._shown.wait(message)

    def show(self, watched: Watched, last: bool = False) -> None:
        """The job as it is now; `last` for the reading that ends the display."""
        self._shown.show(watched, last)

    def away(self, error: str) -> None:
        """The broker does not answer, for a reason of that name: what is shown grows old until it does."""
        self._shown.away(error)


class _Lines:
    """How far a job is, where there is no terminal. Methods may be called from any thread."""

    def __init__(self, every: float | None, json_lines: bool) -> None:
        self.starting = False
        self._every = every
        self._json = json_lines
        self._began = time.monotonic()
        self._next = 0.0
        self._last = ""
        self._is_away = False
        self._lock = threading.RLock()

    def say(self, message: str) -> None:
        with self._lock:
            tell(message)

    def wait(self, message: str) -> None:
        self.say(message)

    def show(self, watched: Watched, last: bool) -> None:
        with self._lock:
            if self._is_away and not last:
                self._is_away = False
                tell("The broker answers again.")
            now = time.monotonic()
            if (last and not self._json) or now >= self._next:
                self._put(watched, now, again=not last)

    def away(self, error: str) -> None:
        with self._lock:
            if not self._is_away:
                why = f"the broker does not answer ({error}): trying again until it does."
                if logs.as_json():
                    log("broker_awaited", why=why)
                else:
                    tell(why[0].upper() + why[1:])
            self._is_away = True

    def close(self) -> None:
        """Nothing is left open."""

    def _put(self, watched: Watched, now: float, *, again: bool) -> None:
        """A line; one that says what the line before said is put only where `again`."""
        usual = max(_LINE_EVERY_SECONDS, min(_LINE_MOST_SECONDS, _LINE_SHARE * (now - self._began)))
        self._next = now + (usual if self._every is None else self._every)
        if self._json:
            print(json.dumps(as_json(watched)), flush=True)
            return
        line = plain(watched, self.starting)
        if again or line != self._last:
            if logs.as_json():
                log_reading(watched.job)
            else:
                tell(line)
        self._last = line
