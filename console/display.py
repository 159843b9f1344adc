"""The live display of a job: drawn by a thread of its own, so that it goes on while the broker is waited for."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import ExitStack

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.status import Status as Spinner
from rich.text import Text

from console import told_log
from console.reading.watching import Watched
from console.reading.words import span
from console.screens.job import drawing
from ledger.jobs import AT_REST

_DRAW_EVERY_SECONDS = 0.5
#: Without an answer for so long, the display says so; a redraw may be that late on a busy machine.
_SILENT_SECONDS = 3.0
_MESSAGES_KEPT = 8


class Display:
    """How far a job is, in a terminal. Methods may be called from any thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.starting = False
        """Whether workers are on their way where there are none."""
        self._live: Live | None = None
        self._spinner: Spinner | None = None
        self._messages: deque[str] = deque(maxlen=_MESSAGES_KEPT)
        self._watched: Watched | None = None
        self._read_at = time.monotonic()
        self._away: str | None = None
        self._width = 0
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        self._log = ExitStack()

    def say(self, message: str) -> None:
        """A line above the display."""
        with self._lock:
            self._messages.append(message)
            self._console.print(message, highlight=False, markup=False)

    def wait(self, message: str) -> None:
        """What is waited for before there is a job to show, which then takes its place."""
        with self._lock:
            self._stop_spinner()
            self._spinner = Spinner(Text(message), console=self._console, spinner_style="cyan")
            self._spinner.start()

    def show(self, watched: Watched, last: bool) -> None:
        """The job as it is now; `last` for the reading that ends the display."""
        with self._lock:
            if not last:
                self._away = None
            self._watched, self._read_at = watched, time.monotonic()
            self._start()
            if last:
                self._draw(last=True)
                self._ended.set()

    def away(self, error: str) -> None:
        """The broker does not answer, for a reason of that name: what is shown grows old until it does."""
        with self._lock:
            self._away = error

    def close(self) -> None:
        """What was drawn last stays, and the terminal is as it was before."""
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        with self._lock:
            self._stop_spinner()
            self._stop()

    def _start(self) -> None:
        self._stop_spinner()
        if self._live is not None:
            return
        self._width = self._console.width
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._live.start()
        self._log.enter_context(told_log.above())
        self._draw()
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, name="display", daemon=True)
            self._ticker.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._log.close()

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
        self._stop()
        self._console.control(Control.clear(), Control.home())
        for message in self._messages:
            self._console.print(message, highlight=False, markup=False)
        self._start()

    def _warnings(self) -> list[str]:
        silent = time.monotonic() - self._read_at
        rests = self._watched is None or self._watched.status.state in AT_REST
        if rests or (self._away is None and silent < _SILENT_SECONDS):
            return []
        why = f" ({self._away})" if self._away else ""
        return [f"The broker does not answer{why} for {span(silent)}: trying again. All else is from before."]
