"""Drawing for a page: matplotlib's SVG in the page's own colours and font, with a title and a description.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which people with any colour vision tell apart. In
the SVG they are CSS variables, so that a chart follows the page into dark mode and onto paper.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any
from zlib import crc32

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A colour's name in the page's CSS, and what stands for it in matplotlib. No two are the same.
COLOURS = {
    "blue": "#0072b2",
    "green": "#009e73",
    "red": "#d55e00",
    "orange": "#e69f00",
    "purple": "#cc79a7",
    "sky": "#56b4e9",
    "ink": "#1a1b1c",
    "soft": "#6a6b6c",
    "line": "#dadbdc",
    "paper": "#fdfefd",
    # Of texts, which need more contrast than lines do.
    "blue-ink": "#015f94",
    "green-ink": "#016f50",
    "red-ink": "#a64901",
    "purple-ink": "#9b4a76",
    "orange-ink": "#8a5e01",
}
WIDTH, HEIGHT = 5.2, 3.0  # inches; 72 units each
TEXT = 11.5  # units
_SETTINGS: Any = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "genfleet",
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": TEXT - 1,
    "ytick.labelsize": TEXT - 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["soft"],
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.unicode_minus": False,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.7,
    "xtick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["soft"],
    "ytick.color": COLOURS["line"],
    "ytick.labelcolor": COLOURS["soft"],
    "ytick.major.size": 0,
    "text.color": COLOURS["ink"],
    "lines.linewidth": 1.8,
    "patch.linewidth": 0,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Chart:
    """A drawing: its `title` stands above it on the page, its `caption`, if any, below; a description is in the SVG."""

    title: str
    caption: str
    svg: Markup


@contextmanager
def drawing(width: float = WIDTH, height: float = HEIGHT) -> Iterator[Figure]:
    """A figure to draw on, in inches, and what matplotlib is to do for the page."""
    import matplotlib as mpl  # noqa: PLC0415  half a second that only a report needs
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_SETTINGS):
        yield Figure(figsize=(width, height), layout="constrained")


def chart(figure: Figure, title: str, description: str, caption: str = "") -> Chart:
    """The figure as a chart of the page; `description` is for who cannot see it. Call it within `drawing`."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return Chart(title, caption, _for_page(out.getvalue(), title, description))


def _for_page(svg: str, title: str, description: str) -> Markup:
    body = svg[svg.index("<svg") :]
    opening, _, inside = body.partition(">")
    box = re.search(r'viewBox="[^"]*"', opening)
    inside = re.sub(r"<metadata>.*?</metadata>\s*", "", inside, flags=re.DOTALL)
    inside = re.sub(r"<style.*?</style>|<!--.*?-->", "", inside, flags=re.DOTALL)
    inside = re.sub(r"\s+", " ", inside)
    inside = re.sub(r' (?:d|x|y)="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), inside)
    inside = re.sub(r' transform="rotate\(-0 [^"]*"', "", inside)
    for name, colour in COLOURS.items():
        inside = inside.replace(colour, f"var(--{name})")
    # The font is the page's, the sizes are the drawing's.
    inside = re.sub(r"font: (?:[a-z0-9]+ )*?([\d.]+)px [^;\"]*", r"font-size: \1px", inside)
    inside = re.sub(r"font-family: [^;\"]*;?", "", inside)
    inside = _own_names(inside, f"c{crc32((title + inside).encode()):x}-")
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    head = f'<svg {box[0] if box else ""} role="img" {names}>'
    return Markup(f"{head}<title>{escape(title)}</title><desc>{escape(description)}</desc>{inside}")  # noqa: S704  ours


def _own_names(inside: str, prefix: str) -> str:
    """Ids that no other drawing on the page has, and none where nothing refers to it."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', inside))
    inside = re.sub(r' id="([^"]+)"', lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "", inside)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", inside)


def lines(
    axes: Axes,
    xs: Sequence[float],
    curves: Sequence[tuple[str, Sequence[float | None], str, str]],
    top: float | None = None,
) -> None:
    """Curves as (name, values, colour, dashes), each with its name at its end, none on another."""
    for _, values, colour, dashes in curves:
        ys = [float("nan") if value is None else value for value in values]
        axes.plot(xs, ys, color=COLOURS[colour], linestyle=dashes, marker="." if len(xs) == 1 else None)
    axes.set_ylim(0, top)
    label_ends(axes, [(name, _last(values), colour) for name, values, colour, _ in curves])


def _last(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def label_ends(axes: Axes, ends: Sequence[tuple[str, float | None, str]]) -> None:
    """Names to the right of where curves end, moved apart where they would touch."""
    low, high = axes.get_ylim()
    scale = axes.get_yscale()
    known = sorted((_fraction(y, low, high, scale), name, colour) for name, y, colour in ends if y is not None)
    apart = 0.085  # of the axes' height: a line of text
    at: list[float] = []
    for place, *_ in known:
        at.append(max(place, at[-1] + apart) if at else place)
    if at and at[-1] > 1:
        at = [place - (at[-1] - 1) for place in at]
        for k in range(len(at) - 2, -1, -1):
            at[k] = min(at[k], at[k + 1] - apart)
    for place, (_, name, colour) in zip(at, known, strict=True):
        axes.annotate(
            name,
            (1, place),
            xycoords="axes fraction",
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=COLOURS[f"{colour}-ink"],
            annotation_clip=False,
        )


def _fraction(y: float, low: float, high: float, scale: str) -> float:
    if scale == "log":
        return (log(max(y, low)) - log(low)) / (log(high) - log(low))
    return (y - low) / (high - low) if high > low else 0.0


def time_axis(axes: Axes, seconds: float) -> tuple[float, str]:
    """Makes the x axis one of so many seconds; gives seconds per unit and the unit."""
    for length, unit in ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")):
        if seconds >= 3 * length or unit == "seconds":
            axes.set_xlabel(unit, loc="right")
            axes.set_xlim(0, seconds / length or 1.0)
            return length, unit
    raise AssertionError


def tidy(axes: Axes, format_y: Any = None) -> None:
    """Few ticks, and their texts by `format_y` (value -> text)."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: PLC0415

    if axes.get_yscale() != "log":
        axes.yaxis.set_major_locator(MaxNLocator(4))
    if format_y is not None:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_y(value)))
