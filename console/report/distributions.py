"""Charts of a report that are not drawn over time: how figures and lengths are distributed, causes as bars."""

from __future__ import annotations

from collections.abc import Sequence

from console.report.attempts import Histogram
from console.report.charts import COLOURS, Chart, chart, drawing, tidy
from console.report.figures import plural, seconds, short, whole
from console.report.survey import Field

_BINS = 40


def distribution(found: Histogram, title: str, unit: str, colour: str = "blue") -> Chart:
    """How a figure of the calls is distributed, its median and 99th percentile marked."""
    with drawing() as figure:
        axes = figure.subplots()
        width = (found.high - found.low) / len(found.counts) or 1.0
        edges = [found.low + width * place for place in range(len(found.counts) + 1)]
        axes.stairs(found.counts, edges, fill=True, color=COLOURS[colour], alpha=0.75)
        top = max(found.counts) * 1.22
        median, _, p99 = found.quantiles
        for value, name, place in ((median, "median", 0.98), (p99, "99%", 0.86)):
            axes.axvline(value, color=COLOURS["ink"], linewidth=1, linestyle=(0, (2, 2)))
            right = value < found.low + 0.6 * (found.high - found.low)
            axes.annotate(
                f"{name} {_amount(value, unit)}",
                (value, place),
                xycoords=("data", "axes fraction"),
                xytext=(4 if right else -4, 0),
                textcoords="offset points",
                ha="left" if right else "right",
                va="top",
            )
        axes.set_ylim(0, top)
        axes.set_xlabel(unit, loc="right")
        tidy(axes, short)
        ends = (
            f"Median {_amount(median, unit)}, 99% up to {_amount(p99, unit)}, the longest {_amount(found.most, unit)}."
        )
        return chart(figure, title, f"{plural(found.total, 'call')}. {ends}")


def _amount(value: float, unit: str) -> str:
    return seconds(value) if unit == "seconds" else whole(value)


def lengths(recipe: str, fields: Sequence[Field]) -> Chart:
    """The lengths of a recipe's longest fields, one histogram under the other."""
    with drawing(height=1.0 * len(fields) + 0.3) as figure:
        drawn = figure.subplots(len(fields), squeeze=False)[:, 0]
        said = []
        for axes, field in zip(drawn, fields, strict=True):
            ordered = sorted(field.lengths)
            high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.995))]
            axes.hist(
                [min(n, high) for n in ordered], bins=_BINS, range=(0, max(high, 1)), color=COLOURS["blue"], alpha=0.75
            )
            median = ordered[len(ordered) // 2]
            axes.axvline(median, color=COLOURS["ink"], linewidth=1, linestyle=(0, (2, 2)))
            axes.set_title(f"{field.name.replace('_', ' ')}, median {whole(median)}", loc="left", pad=3)
            axes.set_yticks([])
            axes.grid(False)
            said.append(f"{field.name}: median {whole(median)}, from {whole(ordered[0])} to {whole(ordered[-1])}")
        drawn[-1].set_xlabel("characters", loc="right")
        return chart(figure, f"Lengths of {recipe}'s texts", ". ".join(said) + ".")


def causes_bars(causes: Sequence[tuple[str, int, int]]) -> Chart:
    """Causes as (name, calls repeated, examples rejected)."""
    with drawing(height=max(1.2, 0.36 * len(causes) + 0.5)) as figure:
        axes = figure.subplots()
        names = [name.replace("_", " ") for name, _, _ in causes]
        places = list(range(len(causes), 0, -1))
        axes.barh(places, [again for _, again, _ in causes], height=0.62, color=COLOURS["purple"])
        axes.barh(
            places,
            [gone for *_, gone in causes],
            left=[again for _, again, _ in causes],
            height=0.62,
            color=COLOURS["red"],
        )
        axes.set_yticks(places, names, color=COLOURS["ink"])
        axes.set_xticks([])
        axes.grid(False)
        axes.spines.bottom.set_visible(False)
        for place, (_, again, gone) in zip(places, causes, strict=True):
            said = ", ".join(
                f"{number:,} {what}" for number, what in ((again, "repeated"), (gone, "rejected")) if number
            )
            axes.annotate(
                said,
                (again + gone, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=COLOURS["soft"],
            )
        axes.set_xlim(0, max(again + gone for _, again, gone in causes) * 1.45)
        said = "; ".join(f"{name}: {again} repeated, {gone} rejected" for name, again, gone in causes)
        return chart(figure, "Calls repeated and examples rejected, by cause", said)
