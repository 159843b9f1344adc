"""Coverage of a recipe's axes: what its accepted examples have of each value and pair, against what was asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from config.recipe import Axis as Given
from ledger.storable import json_line

State = Literal["missing", "thin", ""]
#: A count is thin below this part of what is due, if chance alone would hardly leave it so low: by standard deviations
#: of a Poisson count, more of them for combinations, of which there are so many that some are low by chance.
THIN = 0.8
SIGMAS = 3.0
SIGMAS_OF_PAIRS = 4.0


@dataclass(frozen=True)
class Cell:
    """A value, or a combination of two, with the examples that have it and those that would by the recipe's weights."""

    name: str
    count: int
    due: float
    sigmas: float = SIGMAS

    @property
    def state(self) -> State:
        """`missing` where one or more is due and none is there, `thin` by THIN and `sigmas`."""
        if self.count == 0:
            return "missing" if self.due >= 1 else ""
        thin = self.count < THIN * self.due and self.due - self.count > self.sigmas * math.sqrt(self.due)
        return "thin" if thin else ""

    @property
    def fullness(self) -> float:
        """What is there, by what is due; all of it where nothing is."""
        return self.count / self.due if self.due else 1.0


@dataclass(frozen=True)
class Axis:
    """An axis: its values in the recipe's order. `other` examples have none of them."""

    name: str
    values: tuple[Cell, ...]
    other: int = 0

    @property
    def judged(self) -> bool:
        """Whether there are enough examples to say what is missing: one or more for each value, on average."""
        return sum(value.due for value in self.values) >= len(self.values)

    @property
    def gaps(self) -> int:
        """Values that are missing or thin."""
        return sum(bool(value.state) for value in self.values)

    @property
    def occurring(self) -> int:
        """Values that some example has."""
        return sum(value.count > 0 for value in self.values)


@dataclass(frozen=True)
class Pair:
    """Two axes together: `cells[i][j]` has value i of the first (`rows`) and j of the second (`columns`)."""

    first: str
    second: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]

    @property
    def all(self) -> list[Cell]:
        """The cells in a row."""
        return [cell for row in self.cells for cell in row]

    def of(self, state: State) -> list[Cell]:
        """The cells in that state, those furthest below what is due first."""
        return sorted((cell for cell in self.all if cell.state == state), key=lambda cell: cell.count - cell.due)

    @property
    def judged(self) -> bool:
        """Whether there are enough examples to say what is missing."""
        return self.due >= 1

    @property
    def gaps(self) -> int:
        """Cells that are missing or thin."""
        return sum(bool(cell.state) for cell in self.all)

    @property
    def missing_by_chance(self) -> float:
        """How many cells would be missing if examples fell into them by chance alone."""
        return sum(math.exp(-cell.due) for cell in self.all if cell.due >= 1)

    @property
    def due(self) -> float:
        """Examples that are due in a cell, on average."""
        cells = self.all
        return sum(cell.due for cell in cells) / len(cells)


@dataclass(frozen=True)
class Coverage:
    """What the accepted examples of a recipe cover.

    `possible` and `seen` are combinations of all plain axes; `uncounted` are pairs with too many combinations to list.
    """

    recipe: str
    examples: int
    axes: tuple[Axis, ...]
    pairs: tuple[Pair, ...]
    possible: int
    seen: int
    uncounted: int = 0


def weights(axis: Given) -> list[tuple[Any, float]]:
    """An axis' values, each once, with the share of the examples that it is to have."""
    if isinstance(axis, dict):
        total = sum(axis.values())
        return [(value, weight / total) for value, weight in axis.items()]
    # Not by equality: for Python, 1 and true are the same.
    texts = [json_line(value) for value in axis]
    counts = Counter(texts)
    return [(value, counts.pop(text) / len(axis)) for value, text in zip(axis, texts, strict=True) if text in counts]


def name_of(value: Any) -> str:
    """An axis' value as people read it: a text, or the values of a table."""
    if isinstance(value, dict):
        return " · ".join(map(name_of, value.values()))
    if isinstance(value, list):
        return ", ".join(map(name_of, value))
    return value if isinstance(value, str) else str(value)


def axis_of(name: str, given: Given, counts: Sequence[int], examples: int) -> Axis:
    """An axis; `counts` are the examples of each value of `weights(given)`, among `examples` in all."""
    values = tuple(
        Cell(name_of(value), count, share * examples)
        for (value, share), count in zip(weights(given), counts, strict=True)
    )
    return Axis(name, values, examples - sum(counts))


def pair_of(first: Axis, second: Axis, counts: Sequence[Sequence[int]], examples: int) -> Pair:
    """Two axes together; `counts[i][j]` as `Pair.cells`. The axes are drawn without regard to each other."""
    cells = tuple(
        tuple(
            Cell(
                f"{one.name} × {other.name}",
                count,
                one.due * other.due / examples if examples else 0.0,
                SIGMAS_OF_PAIRS,
            )
            for other, count in zip(second.values, row, strict=True)
        )
        for one, row in zip(first.values, counts, strict=True)
    )
    rows, columns = (tuple(value.name for value in axis.values) for axis in (first, second))
    return Pair(first.name, second.name, rows, columns, cells)


def telling(pairs: Sequence[Pair], most: int, rows: int = 50, columns: int = 30, due: float = 3.0) -> list[Pair]:
    """The pairs worth a picture: not too large, enough examples for each cell, the fullest of gaps first.

    Of a pair's two sides either may be the longer one: `rows` bounds the longer, `columns` the shorter.
    """
    fitting = [
        pair
        for pair in pairs
        if pair.due >= due
        and max(len(pair.cells), len(pair.cells[0])) <= rows
        and 2 <= min(len(pair.cells), len(pair.cells[0])) <= columns
    ]
    return sorted(fitting, key=lambda pair: (-pair.gaps, min(cell.fullness for cell in pair.all)))[:most]
