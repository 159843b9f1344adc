"""The charts of a report that are drawn over the job's time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from console.report.attempts import Timeline
from console.report.charts import COLOURS, Chart, chart, drawing, label_ends, lines, tidy, time_axis
from console.report.figures import short, usd, whole

_PERCENTILES = ("median", "90%", "99%")
_WIDE_RANGE = 30  # of latencies: above it a logarithmic axis shows more


def throughput(line: Timeline) -> Chart:
    """Examples accepted and rejected, and calls repeated, per second, minute or hour."""
    rates = {
        "accepted": [step.accepted / line.width for step in line.steps],
        "rejected": [step.rejected / line.width for step in line.steps],
        "repeated": [step.again / line.width for step in line.steps],
    }
    unit, per = next(
        ((unit, per) for unit, per in (("second", 1.0), ("minute", 60.0)) if max(map(max, rates.values())) * per >= 5),
        ("hour", 3600.0),
    )
    with drawing() as figure:
        axes = figure.subplots()
        length, _ = time_axis(axes, line.seconds)
        drawn = [
            (name, [rate * per for rate in rates[name]], colour, dashes)
            for name, colour, dashes in (
                ("accepted", "green", "-"),
                ("rejected", "red", "--"),
                ("repeated", "purple", ":"),
            )
            if name == "accepted" or any(rates[name])
        ]
        lines(axes, [end / length for end in line.ends()], drawn)
        tidy(axes, short)
        mean = sum(step.accepted for step in line.steps) / line.seconds * per
        said = f"Accepted examples per {unit}: {short(mean)} on average, {short(max(rates['accepted']) * per)} at most."
        return chart(figure, f"Examples and repeated calls per {unit}", said)


def latency_over_time(line: Timeline) -> Chart:
    """Percentiles of the calls that ended in each step."""
    with drawing() as figure:
        axes = figure.subplots()
        length, _ = time_axis(axes, line.seconds)
        curves = [[step.latency[k] if step.latency else None for step in line.steps] for k in range(3)]
        known = [value for curve in curves for value in curve if value]
        if known and max(known) > _WIDE_RANGE * min(known):
            axes.set_yscale("log")
        xs = [end / length for end in line.ends()]
        for curve, colour, dashes in zip(curves, ("blue", "purple", "red"), ("-", "--", ":"), strict=True):
            axes.plot(xs, [float("nan") if y is None else y for y in curve], color=COLOURS[colour], linestyle=dashes)
        if axes.get_yscale() == "linear":
            axes.set_ylim(0)
        last = [next((y for y in reversed(curve) if y is not None), None) for curve in curves]
        label_ends(axes, list(zip(_PERCENTILES, last, ("blue", "purple", "red"), strict=True)))
        tidy(axes, lambda value: f"{short(value)} s")
        return chart(figure, "Latency of calls over time", "Median, 90th and 99th percentile of the calls that ended.")


def cost_over_time(line: Timeline, budget_usd: float | None) -> Chart:
    """Money spent so far, and the budget where it is near."""
    spent, total = [0.0], 0
    for step in line.steps:
        total += step.cost_nano_usd
        spent.append(total / 1e9)
    with drawing() as figure:
        axes = figure.subplots()
        length, _ = time_axis(axes, line.seconds)
        shows = budget_usd is not None and spent[-1] > budget_usd / 4
        top = max(budget_usd, spent[-1]) * 1.08 if budget_usd is not None and shows else None
        lines(axes, [0.0, *(end / length for end in line.ends())], [("spent", spent, "blue", "-")], top)
        if budget_usd is not None and shows:
            axes.axhline(budget_usd, color=COLOURS["red"], linestyle="--", linewidth=1.2)
            axes.annotate(
                "budget", (0.02, budget_usd), xycoords=("axes fraction", "data"), va="bottom", color=COLOURS["red-ink"]
            )
        tidy(axes)
        axes.yaxis.set_major_formatter(_money(axes.get_yticks()))
        return chart(figure, "Cost so far", f"It came to {usd(spent[-1])}.")


def _money(ticks: Iterable[float]) -> Callable[[float, object], str]:
    """Texts of an axis of dollars: all with as many digits as the finest needs."""
    digits = next((k for k in (0, 2, 3, 4, 5) if all(abs(round(tick, k) - tick) < 1e-9 for tick in ticks)), 6)
    return lambda value, _: f"${value:,.{digits}f}"


def calls_in_flight(line: Timeline, flying: Sequence[float], limit: int | None) -> Chart:
    """Calls in flight on average in each step, and their limit where it is near."""
    with drawing() as figure:
        axes = figure.subplots()
        length, _ = time_axis(axes, line.seconds)
        near = limit is not None and limit <= 1.6 * max(flying)
        top = 1.12 * max(limit, *flying) if limit is not None and near else None
        lines(axes, [end / length for end in line.ends()], [("in flight", list(flying), "blue", "-")], top)
        if limit is not None and near:
            axes.axhline(limit, color=COLOURS["red"], linestyle="--", linewidth=1.2)
            axes.annotate(
                "limit", (0.02, limit), xycoords=("axes fraction", "data"), va="bottom", color=COLOURS["red-ink"]
            )
        tidy(axes, short)
        mean = sum(flying) / len(flying)
        return chart(figure, "Calls in flight", f"{short(mean)} on average, {short(max(flying))} at most in a step.")


def tokens_over_time(line: Timeline) -> Chart:
    """Prompt and completion tokens so far."""
    prompt, completion = [0], [0]
    for step in line.steps:
        prompt.append(prompt[-1] + step.prompt_tokens)
        completion.append(completion[-1] + step.completion_tokens)
    with drawing() as figure:
        axes = figure.subplots()
        length, _ = time_axis(axes, line.seconds)
        curves = [("prompt", prompt, "blue", "-"), ("completion", completion, "red", "--")]
        lines(axes, [0.0, *(end / length for end in line.ends())], curves)
        tidy(axes, short)
        return chart(
            figure, "Tokens so far", f"{whole(prompt[-1])} of prompts, {whole(completion[-1])} of completions."
        )
