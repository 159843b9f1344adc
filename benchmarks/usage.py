"""CPU time of the processes that carry a mark in their environment."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from pathlib import Path

_EVERY_SECONDS = 0.2
_TICK = os.sysconf("SC_CLK_TCK")


def marked(mark: str) -> list[int]:
    """The ids of the processes of this machine that were started with that variable."""
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal() and _has(folder, mark)]


class CpuMeter:
    """Adds up the CPU time of all marked processes while it runs, those that have ended meanwhile included.

    A process is missed if it lives for less than a fifth of a second, and so is the last fifth of each one's life.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._seconds: dict[int, float] = {}
        self._readings: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cpu-meter", daemon=True)

    def __enter__(self) -> CpuMeter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def total(self) -> float:
        """Seconds so far."""
        return self._readings[-1][1] if self._readings else 0.0

    def between(self, begin: float, end: float) -> float:
        """Seconds from one time of the monotonic clock to another."""
        times = [t for t, _ in self._readings]
        if not times:
            return 0.0
        first, last = (min(bisect_left(times, t), len(times) - 1) for t in (begin, end))
        return self._readings[last][1] - self._readings[first][1]

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            self._read()

    def _read(self) -> None:
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            pid = int(folder.name)
            # Asked again while it is not ours: between fork and exec it shows the environment of its parent.
            if pid in self._seconds or _has(folder, self._mark):
                self._seconds[pid] = _cpu_seconds(folder) or self._seconds.get(pid, 0.0)
        self._readings.append((time.monotonic(), sum(self._seconds.values())))


def _has(folder: Path, mark: str) -> bool:
    try:
        return mark.encode() in (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _cpu_seconds(folder: Path) -> float | None:
    try:
        # The name, in parentheses, may itself hold blanks and parentheses; user and system time are fields 14 and 15.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICK
