"""How far a job is, as it goes: a live display in a terminal; lines for people or for machines where there is none."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.status import Status as Spinner
from rich.text import Text

from config import logs
from config.logs import log, tell
from console.reading.watching import Watched, as_json
from console.reading.words import dollars, span
from console.screens.job import drawing
from console.screens.line import log_reading, plain
from ledger.jobs import AT_REST

__all__ = ["Progress", "dollars", "span"]

_DRAW_EVERY_SECONDS = 0.5
#: Without an answer for so long, the display says so; a redraw may be that late on a busy machine.
_SILENT_SECONDS = 3.0
#: Plain lines are this far apart at first, then a fiftieth of the time so far, and at most a minute.
_LINE_EVERY_SECONDS, _LINE_SHARE, _LINE_MOST_SECONDS = 5.0, 0.02, 60.0
_MESSAGES_KEPT = 8


def _said_elsewhere(record: logging.LogRecord) -> bool:
    """Lets a record through unless it tells of a broker that is away, which the progress itself tells."""
    why = getattr(record, "fields", {}).get("why", "")
    return getattr(record, "event", None) != "collecting_waits" or "does not answer" not in why


class Progress:
    """Shows a job each time it is given a reading, on standard error.

    Args:
        every: seconds between two lines where there is no terminal; None lets them grow rarer.
        json_lines: readings as JSON on standard output, and no display.
    """

    def __init__(self, every: float | None = None, *, json_lines: bool = False) -> None:
        self._console = Console(stderr=True)
        self._every = every
        self._json = json_lines
        self.is_live = self._console.is_terminal and not json_lines and not logs.as_json()
        """Whether there is a terminal to draw in, and a person before it."""
        self.starting = False
        """Whether workers are on their way where there are none."""
        self._live: Live | None = None
        self._spinner: Spinner | None = None
        self._messages: deque[str] = deque(maxlen=_MESSAGES_KEPT)
        self._watched: Watched | None = None
        self._read_at = self._began = time.monotonic()
        self._next_line = 0.0
        self._line = ""
        self._away: str | None = None
        self._width = 0
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        self._logs: list[tuple[logging.StreamHandler[Any], Any]] = []

    def __enter__(self) -> Progress:
        for handler in logging.root.handlers:
            handler.addFilter(_said_elsewhere)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handler in logging.root.handlers:
            handler.removeFilter(_said_elsewhere)
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        with self._lock:
            self._stop_spinner()
            self._stop_live()

    def say(self, message: str) -> None:
        """A line above the display."""
        with self._lock:
            if self.is_live:
                self._messages.append(message)
                self._console.print(message, highlight=False, markup=False)
            else:
                tell(message)

    def wait(self, message: str) -> None:
        """What is waited for before there is a job to show; in a terminal the job then takes its place."""
        with self._lock:
            if not self.is_live:
                self.say(message)
                return
            self._stop_spinner()
            self._spinner = Spinner(Text(message), console=self._console, spinner_style="cyan")
            self._spinner.start()

    def show(self, watched: Watched, last: bool = False) -> None:
        """The job as it is now; `last` for the reading that ends the display."""
        with self._lock:
            if self._away is not None and not last:
                self._say_back()
            self._watched, self._read_at = watched, time.monotonic()
            if self.is_live:
                self._start_live()
                if last:
                    self._draw(last=True)
                    self._ended.set()
            elif (last and not self._json) or self._read_at >= self._next_line:
                self._put_line(watched, again=not last)

    def away(self, error: str) -> None:
        """The broker does not answer, for a reason of that name: what is shown grows old until it does."""
        with self._lock:
            if self._away is None and not self.is_live:
                why = f"the broker does not answer ({error}): trying again until it does."
                if logs.as_json():
                    log("broker_awaited", why=why)
                else:
                    tell(why[0].upper() + why[1:])
            self._away = error

    def _say_back(self) -> None:
        self._away = None
        if not self.is_live:
            self.say("The broker answers again.")

    def _put_line(self, watched: Watched, *, again: bool) -> None:
        """A line; one that says what the line before said is put only where `again`."""
        now = time.monotonic()
        usual = max(_LINE_EVERY_SECONDS, min(_LINE_MOST_SECONDS, _LINE_SHARE * (now - self._began)))
        self._next_line = now + (usual if self._every is None else self._every)
        if self._json:
            print(json.dumps(as_json(watched)), flush=True)
            return
        line = plain(watched, self.starting)
        if again or line != self._line:
            if logs.as_json():
                log_reading(watched.job)
            else:
                tell(line)
        self._line = line

    # The display, drawn by a thread of its own: it goes on while the broker is waited for.

    def _start_live(self) -> None:
        self._stop_spinner()
        if self._live is not None:
            return
        self._width = self._console.width
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._live.start()
        self._take_logs()
        self._draw()
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, name="display", daemon=True)
            self._ticker.start()

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._give_logs_back()

    def _stop_spinner(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def _tick(self) -> None:
        while not self._ended.wait(_DRAW_EVERY_SECONDS):
            with self._lock:
                if self._live is not None and not self._ended.is_set():
                    self._draw()

    def _draw(self, last: bool = False) -> None:
        if self._live is None or self._watched is None:
            return
        if self._console.width != self._width:
            self._begin_anew()
        size = self._console.size
        says = [] if last else self._warnings()
        lines = drawing(self._watched, size.width, size.height - 1, says, starting=self.starting, ended=last)
        self._live.update(Group(*lines), refresh=True)

    def _begin_anew(self) -> None:
        """After a resize nobody knows on which lines the display stands: some terminals wrap it, some cut it."""
        self._stop_live()
        self._console.control(Control.clear(), Control.home())
        for message in self._messages:
            self._console.print(message, highlight=False, markup=False)
        self._start_live()

    def _warnings(self) -> list[str]:
        silent = time.monotonic() - self._read_at
        rests = self._watched is None or self._watched.status.state in AT_REST
        if rests or (self._away is None and silent < _SILENT_SECONDS):
            return []
        why = f" ({self._away})" if self._away else ""
        return [f"The broker does not answer{why} for {span(silent)}: trying again. All else is from before."]

    def _take_logs(self) -> None:
        """Log lines go above the display instead of through it."""
        for handler in logging.root.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                self._logs.append((handler, handler.setStream(sys.stderr)))

    def _give_logs_back(self) -> None:
        for handler, stream in self._logs:
            if stream is not None:
                handler.setStream(stream)
        self._logs.clear()
