"""Which of the examples that a process settles are kept for people to look at: few, so that it costs little."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: Of each job, of each cause: so many at once, then so many a second.
_BURST, _A_SECOND = 20.0, 1.0
_CAUSES_KEPT = 500


@dataclass
class _Kept:
    number: int
    left: float
    at: float


class Shown:
    """How many examples of each cause were kept, and how many more may be at this moment."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    def take(self, job: str, cause: str) -> int | None:
        """How many were kept before this one, or None where it is not kept."""
        now = self._clock()
        kept = self._kept.pop((job, cause), None) or _Kept(-1, _BURST, now)
        self._kept[job, cause] = kept
        if len(self._kept) > _CAUSES_KEPT:
            self._kept.popitem(last=False)
        kept.left, kept.at = min(_BURST, kept.left + (now - kept.at) * _A_SECOND), now
        if kept.left < 1:
            return None
        kept.left -= 1
        kept.number += 1
        return kept.number
