"""The chart of a report's limits: how much of each was in use, and what held calls back."""

from __future__ import annotations

from console.report.charts import COLOURS, TEXT, Chart, chart, drawing, label_ends, tidy, time_axis
from console.report.figures import percent, whole
from console.report.limits_use import NAMES, LimitsUse

_USES = {"requests": ("blue", "-"), "tokens": ("red", "--"), "concurrent": ("green", ":")}
_CAUSES = {"requests": "requests", "tokens": "tokens", "concurrent": "in flight", "pause": "pause", "budget": "budget"}
_CAUSE_COLOURS = {"requests": "blue", "tokens": "red", "concurrent": "green", "pause": "purple", "budget": "orange"}
_ROOM = 0.16  # of the time: what a cause's name needs


def limits_over_time(used: LimitsUse, length_seconds: float) -> Chart:
    """The share of each limit in use, and below it what held calls back."""
    with drawing() as figure:
        axes, strip = figure.subplots(2, height_ratios=(8, 1), sharex=True)
        length, unit = time_axis(strip, length_seconds)
        for use in used.uses:
            colour, dashes = _USES[use.what]
            at = [(moment / length, share) for moment, share in use.shares]
            axes.plot(*zip(*at, strict=True), color=COLOURS[colour], linestyle=dashes)
        axes.axhline(1, color=COLOURS["ink"], linewidth=0.8)
        axes.set_ylim(0, max([1.08, *(share * 1.05 for use in used.uses for _, share in use.shares)]))
        ends = [(_CAUSES[use.what], use.shares[-1][1], _USES[use.what][0]) for use in used.uses]
        label_ends(axes, ends)
        tidy(axes, lambda value: f"{value:.0%}")
        if axes.get_ylim()[1] < 1.5:
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        for since, until, what in used.bound:
            strip.axvspan(since / length, until / length, color=COLOURS[_CAUSE_COLOURS[what]])
        strip.set_ylim(0, 1)
        strip.set_yticks([])
        strip.grid(False)
        strip.set_xlabel(unit, loc="right")
        causes = list(dict.fromkeys(what for _, _, what in used.bound))
        text = "not held back" if not causes else f"by {_CAUSES[causes[0]]}" if len(causes) == 1 else "held back by"
        place = {"xycoords": "axes fraction", "xytext": (5, 0), "textcoords": "offset points", "va": "center"}
        strip.annotate(text, (1, 0.5), color=COLOURS["soft"], **place)
        for cause in causes if len(causes) > 1 else ():
            since, until = max(
                (span[:2] for span in used.bound if span[2] == cause), key=lambda span: span[1] - span[0]
            )
            if until - since > _ROOM * length_seconds:
                middle = (since + until) / 2 / length
                strip.text(
                    middle, 0.48, _CAUSES[cause], ha="center", va="center", color=COLOURS["paper"], fontsize=TEXT - 2
                )
        said = "; ".join(
            f"{NAMES[use.what]}: {percent(use.mean)} of {whole(use.limit)} on average" for use in used.uses
        )
        held = (
            f" Held back by {', '.join(_CAUSES[what] for what in causes)}." if causes else " Nothing held calls back."
        )
        return chart(figure, "Share of each limit in use", f"{said}.{held}")
