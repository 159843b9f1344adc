"""A set of examples, counted by their jobs."""

from __future__ import annotations

from collections import Counter

from ledger.fleet import Unit


class Units:
    """Examples, each once.

    Attributes:
        by_job: how many there are of each job, asked for with every message that is taken; maybe zero.
    """

    def __init__(self) -> None:
        self._units: set[Unit] = set()
        self.by_job: Counter[str] = Counter()

    def add(self, unit: Unit) -> None:
        """Puts one in."""
        if unit not in self._units:
            self._units.add(unit)
            self.by_job[unit[0]] += 1

    def discard(self, unit: Unit) -> None:
        """Takes one out, if it is in."""
        if unit in self._units:
            self._units.discard(unit)
            self.by_job[unit[0]] -= 1
            if not self.by_job[unit[0]]:
                del self.by_job[unit[0]]

    def __contains__(self, unit: object) -> bool:
        return unit in self._units
