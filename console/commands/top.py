"""The fleet as it works: `top`."""

from __future__ import annotations

import json
import sys
import threading
import time

import redis as redis_py
import typer
from redis.exceptions import AuthenticationError, NoPermissionError
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from config.models import models
from console.broker import ledger
from console.commands.options import AsJson
from console.interrupts import Interrupts, interrupts
from console.keyboard import keys
from console.reading.fleet import FIELDS, FleetReader, FleetView, as_json
from console.reading.words import span
from console.screens.top import screen
from console.tables import put

_READ_EVERY_SECONDS = 1.0
_DRAW_EVERY_SECONDS = 0.5
_SILENT_SECONDS = 4.0
# The mark keeps the help's lines as they are.
_FIELDS = "\b\nFields of --json:\n" + "\n".join(f"  {name:<16} {meaning}" for name, meaning in FIELDS.items())


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command(epilog=_FIELDS)(top)


def top(as_json_: AsJson = False) -> None:
    """Shows the fleet's workers and models as they work, its rate and its cost an hour; q or Ctrl-C ends it.

    Without a terminal it is one reading.

    Example: genfleet top
    """
    with ledger() as redis:
        reader = FleetReader(redis, models())
        if as_json_:
            print(json.dumps(as_json(reader.read())))
        elif not sys.stdout.isatty():
            fleet = reader.read()
            put(lambda width, height: screen(fleet, width, height), wide=100)
        else:
            with interrupts() as seen:
                _Screen(reader).run(seen)


class _Screen:
    """Draws what a thread reads, so that it goes on while the broker is waited for."""

    def __init__(self, reader: FleetReader) -> None:
        self._reader = reader
        self._ended = threading.Event()
        self._fleet: FleetView | None = None
        self._read_at = time.monotonic()
        self._away = ""
        self._failure: Exception | None = None

    def run(self, seen: Interrupts) -> None:
        """Until q or Ctrl-C is pressed; raises what ended the reading."""
        thread = threading.Thread(target=self._read, name="reading", daemon=True)
        thread.start()
        console = Console(highlight=False)
        with keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
            while not seen.count and self._failure is None:
                width, height = console.size
                live.update(Group(*self._lines(width, height)), refresh=True)
                if "q" in pressed.pressed(_DRAW_EVERY_SECONDS).lower():
                    break
        # Not waited for: it may be asking a broker that is away.
        self._ended.set()
        if self._failure is not None:
            raise self._failure

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                self._fleet, self._read_at, self._away = self._reader.read(), time.monotonic(), ""
            except (AuthenticationError, NoPermissionError) as error:
                self._failure = error
            except redis_py.RedisError as error:
                self._away = type(error).__name__
            except Exception as error:  # it is raised where the display is
                self._failure = error
            self._ended.wait(_READ_EVERY_SECONDS)

    def _lines(self, width: int, height: int) -> list[Text]:
        silent = time.monotonic() - self._read_at
        why = f" ({self._away})" if self._away else ""
        is_away = bool(self._away) or silent > _SILENT_SECONDS
        alarm = f"The broker does not answer{why} for {span(silent)}: trying again." if is_away else ""
        if self._fleet is None:
            return [Text(alarm or "Reading …", "bold red" if alarm else "")]
        says = [f"{alarm} All else is from before."] if alarm else []
        lines = screen(self._fleet, width, height - 1, says)
        lines += [Text()] * (height - 1 - len(lines))
        clock = time.strftime("%H:%M:%S", time.localtime(self._fleet.at))
        foot = Text("q ends", "bright_black")
        foot.append(f"{clock:>{max(1, width - len(foot))}}")
        return [*lines, foot]
