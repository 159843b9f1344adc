"""Charts of what the examples are like: combinations of axes as heat maps, lengths of texts as small histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.report.charts import COLOURS, TEXT, Chart, chart, drawing
from console.report.coverage import Cell, Pair
from console.report.figures import plural, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_LABEL = 26  # characters
_CELL = 0.25  # inches
_NUMBERED = 100  # cells: above that their numbers would be a blur
_FULL = 0.75  # opacity of a cell that has all that is due, or more


def heat_map(pair: Pair) -> Chart:
    """How far each combination of two axes has what is due: the fuller the darker, gaps marked."""
    # The longer side goes down the page.
    down = len(pair.rows) >= len(pair.columns)
    cells = pair.cells if down else tuple(zip(*pair.cells, strict=True))
    rows, columns = (pair.rows, pair.columns) if down else (pair.columns, pair.rows)
    first, second = (pair.first, pair.second) if down else (pair.second, pair.first)
    tallest = max(len(_cut(name)) for name in columns)
    with drawing(height=_CELL * len(rows) + 0.075 * tallest + 0.35) as figure:
        axes = figure.subplots()
        _fill(axes, cells)
        if len(rows) * len(columns) <= _NUMBERED:
            for i, row in enumerate(cells):
                for j, cell in enumerate(row):
                    number = axes.text(
                        j + 0.5, i + 0.52, short(cell.count), ha="center", va="center", fontsize=TEXT - 2.5
                    )
                    number.set_in_layout(False)
        axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
        axes.set_xticks([j + 0.5 for j in range(len(columns))], [_cut(name) for name in columns], rotation=90)
        axes.set_yticks([i + 0.5 for i in range(len(rows))], [_cut(name) for name in rows])
        axes.tick_params(axis="x", top=False, bottom=False, labeltop=True, labelbottom=False)
        axes.grid(False)
        axes.spines.bottom.set_visible(False)
        missing, thin = len(pair.of("missing")), len(pair.of("thin"))
        said = f"{plural(len(pair.all), 'combination')}, {short(pair.due)} examples due in each on average: "
        said += f"{missing} missing, {thin} thin."
        return chart(figure, f"{first} × {second}".replace("_", " "), said, said)


def _fill(axes: Axes, cells: Sequence[Sequence[Cell]]) -> None:
    """Draws the cells; all in two collections, as an artist for each takes ten times as long."""
    from matplotlib.collections import PolyCollection  # noqa: PLC0415
    from matplotlib.colors import to_rgba  # noqa: PLC0415

    placed = [(i, j, cell) for i, row in enumerate(cells) for j, cell in enumerate(row)]
    colours = [to_rgba(COLOURS["blue"], _opacity(cell)) for *_, cell in placed]
    axes.add_collection(PolyCollection([_box(i, j, 0.06) for i, j, _ in placed], facecolors=colours), autolim=False)
    gaps = [_box(i, j, 0.1) for i, j, cell in placed if cell.state]
    frames = PolyCollection(gaps, facecolors="none", edgecolors=COLOURS["red"], linewidths=1.4)
    axes.add_collection(frames, autolim=False)


def _box(i: int, j: int, margin: float) -> list[tuple[float, float]]:
    left, right, top, bottom = j + margin, j + 1 - margin, i + margin, i + 1 - margin
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _opacity(cell: Cell) -> float:
    return round(0.04 + _FULL * min(1.0, cell.count / cell.due if cell.due else 0.0), 2)


def _cut(name: str) -> str:
    return name if len(name) <= _LABEL else name[: _LABEL - 1] + "…"
