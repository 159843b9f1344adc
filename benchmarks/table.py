"""What the runs came to, as tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from benchmarks.run import Run
from benchmarks.scenarios import Scenario

_HEAD = ("system", "used", "429s", "lost", "seconds", "CPU ms", "running", "worst min req", "worst min tok", "settings")


def medians(runs: Sequence[Run]) -> tuple[str, ...]:
    """One row: the medians of a system's repeats; a run that came to nothing shows why."""
    good = [run for run in runs if not math.isnan(run.used_share)]
    reasons = sorted({run.failed for run in runs if run.failed})
    if not good:
        return (runs[0].system, *["–"] * 8, "; ".join(reasons))
    whole = all(run.whole_window for run in good)
    return (
        good[0].system,
        f"{_median(run.used_share for run in good):.1%}",
        f"{_median(run.refused for run in good):.0f}",
        _lost(good),
        f"{_median(run.seconds for run in good):.1f}",
        f"{_median(run.cpu_ms for run in good):.1f}",
        f"{_median(run.cpu_running_ms for run in good):.1f}",
        _share([run.worst_requests for run in good], whole),
        _share([run.worst_tokens for run in good], whole),
        "; ".join([good[0].how, *reasons]) if good[0].how else "; ".join(reasons),
    )


def print_table(scenario: Scenario, rows: Iterable[tuple[str, ...]]) -> None:
    """One scenario."""
    print(f"\n{scenario.number}. {scenario.title}, {scenario.examples:,} examples")
    if scenario.note:
        print(scenario.note)
    print_rows([_HEAD, *rows])


def print_gap(scenario: Scenario, runs: Sequence[Run]) -> None:
    """Where what was not used went, run by run."""
    unit = {"requests": "calls", "tokens": "tokens", "concurrent": "call seconds"}[scenario.binds]
    print(f"\n{scenario.number}. {scenario.title}: the gap to the ideal, as shares of what the limit allows ({unit})")
    head = (
        "system",
        "ideal calls",
        "made",
        "short",
        "start",
        "stalls",
        "pace",
        "end",
        "left in bucket",
        "full",
        "waits",
    )
    rows: list[tuple[str, ...]] = [head]
    for run in runs:
        found = run.gap
        if found is None:
            continue
        shares = (found.start, found.stalls, found.pace, found.end, found.stored)
        waits = ", ".join(f"{name} {seconds / run.seconds:.0%}" for name, seconds in sorted(run.waits.items()))
        rows.append(
            (
                run.system,
                f"{found.ideal_calls:.0f}",
                f"{found.calls}",
                f"{1 - found.made / found.allowed:.2%}",
                *(f"{share / found.allowed:.2%}" for share in shares),
                f"{found.full_share:.0%}",
                waits or "not counted",
            )
        )
    print_rows(rows)


def print_rows(rows: Sequence[tuple[str, ...]]) -> None:
    """A table in Markdown that is also straight in a terminal; the first row is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        left = (0, len(row) - 1)
        cells = (
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print(f"| {' | '.join(cells)} |")
        if number == 0:
            marks = ("-" * width if column in left else f"{'-' * (width - 1)}:" for column, width in enumerate(widths))
            print(f"| {' | '.join(marks)} |")


def _median(values: Iterable[float]) -> float:
    return median(values)


def _lost(runs: Sequence[Run]) -> str:
    known = [run.lost for run in runs if run.lost is not None]
    return f"{_median(known):.0f}" if known else "not done"


def _share(values: Sequence[float | None], whole: bool) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    # The worst of all repeats, not their median: a limit is broken once or it is kept.
    return f"{max(known):.1%}" + ("" if whole else "*")
