"""CPU time and memory of the processes that carry a mark in their environment."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from pathlib import Path

from benchmarks.beside import Beside

_EVERY_SECONDS = 0.2
_MEMORY_EVERY = 5  # readings: the kernel adds it up page by page
_TICK = os.sysconf("SC_CLK_TCK")


def marked(mark: str) -> list[int]:
    """The ids of the processes of this machine that were started with that variable."""
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal() and _has(folder, mark)]


class Meter(Beside):
    """Adds up the CPU time of all marked processes while it runs, those that have ended meanwhile included.

    Attributes:
        peak_bytes: the most memory that they had together, what several share counted once (PSS).

    A process is missed if it lives for less than a fifth of a second, and so is the last fifth of each one's life.
    """

    def __init__(self, mark: str) -> None:
        super().__init__()
        self._mark = mark
        self.peak_bytes = 0
        self._seconds: dict[int, float] = {}
        self._commands: dict[int, str] = {}
        self._readings: list[tuple[float, dict[int, float]]] = []

    @property
    def total(self) -> float:
        """Seconds so far."""
        return sum(self._readings[-1][1].values()) if self._readings else 0.0

    def between(self, begin: float, end: float) -> float:
        """Seconds from one time of the monotonic clock to another."""
        return sum(self.by_command(begin, end).values())

    def by_command(self, begin: float, end: float) -> dict[str, float]:
        """The same by the processes' command lines."""
        times = [t for t, _ in self._readings]
        found: dict[str, float] = {}
        if not times:
            return found
        first, last = (self._readings[min(bisect_left(times, t), len(times) - 1)][1] for t in (begin, end))
        for pid, seconds in last.items():
            command = self._commands[pid]
            found[command] = found.get(command, 0.0) + seconds - first.get(pid, 0.0)
        return found

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(_EVERY_SECONDS):
            living = self._read()
            turn += 1
            if turn % _MEMORY_EVERY == 0:
                self.peak_bytes = max(self.peak_bytes, sum(map(_memory, living)))

    def _read(self) -> list[Path]:
        living = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            pid = int(folder.name)
            # Asked again while it is not ours: between fork and exec it shows the environment of its parent. A server
            # that names itself writes over its environment, but it is the child of one of ours.
            if pid in self._seconds or _has(folder, self._mark) or _parent(folder) in self._seconds:
                self._seconds[pid] = _cpu_seconds(folder) or self._seconds.get(pid, 0.0)
                self._commands[pid] = _command(folder) or self._commands.get(pid, "")
                living.append(folder)
        self._readings.append((time.monotonic(), dict(self._seconds)))
        return living


def _has(folder: Path, mark: str) -> bool:
    try:
        return mark.encode() in (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _cpu_seconds(folder: Path) -> float | None:
    fields = _stat(folder)
    return (int(fields[11]) + int(fields[12])) / _TICK if fields else None


def _parent(folder: Path) -> int | None:
    fields = _stat(folder)
    return int(fields[1]) if fields else None


def _stat(folder: Path) -> list[str]:
    """From the third on: the name before, in parentheses, may itself hold blanks and parentheses."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _command(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _memory(folder: Path) -> int:
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
