"""How fast the machine is meanwhile: others on it, and its clock, change what the same work takes by a fifth."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.beside import Beside

_EVERY_SECONDS = 1.0
_WORK = 50_000


class Speed(Beside):
    """Does a small fixed work once a second while it runs, a hundredth of a core's time.

    Attributes:
        milliseconds: CPU time that it took, the median of all so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self._taken: list[float] = []

    @property
    def milliseconds(self) -> float:
        """See above."""
        return median(self._taken)

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            began = time.thread_time()
            table = {number: str(number) for number in range(_WORK)}
            assert len(table) == _WORK
            self._taken.append((time.thread_time() - began) * 1000)
