"""The fleet in one screen: what it comes to, its models, its jobs, its workers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from config.money import NANO
from console.reading import words
from console.reading.fleet import FleetView, ModelView
from console.reading.job import JobView
from console.reading.layout import NARROW, fitting, shortened
from console.reading.workers import Worker
from console.screens.parts import bar, flow, gauge, labelled, wrapped

_INDENT = 9
_GAUGE = 16
_LATE_SECONDS = 8.0
_JOBS_MOST = 8
#: Of a worker's columns, those named last go first.
_RANKS = ("host", "process", "in flight", "waiting", "beat", "jobs")
_NUMBERS = ("in flight", "waiting", "beat", "done", "rate", "cost", "left")


def screen(fleet: FleetView, width: int, height: int | None = None, says: Sequence[str] = ()) -> list[Text]:
    """The fleet in lines of at most `width` characters, at most `height` of them; None shows every worker.

    Models that nobody uses go first where there is no room, then the workers that do least.
    """
    used = [model for model in fleet.models if model.is_used]
    idle = [model for model in fleet.models if not model.is_used]
    top = [line for say in says for line in wrapped(say, width, "bold red")] + _totals(fleet, width)
    middle = [line for model in used for line in _model(model, width)]
    middle += _jobs(fleet.jobs, width)
    idle_lines = [Text(), *(_idle(model, width) for model in idle)] if idle else []
    room = None if height is None else height - len(top) - len(middle) - 1
    if room is not None and len(idle_lines) + min(3, len(fleet.workers)) + 2 > room:
        idle_lines = []
    if room is not None:
        room -= len(idle_lines)
    lines = [*top, *middle, *idle_lines, *_workers(fleet.workers, width, room)]
    return lines if height is None else lines[:height]


def _totals(fleet: FleetView, width: int) -> list[Text]:
    books, room = fleet.books, width - _INDENT
    machines = f" on {fleet.hosts} machines" if fleet.hosts > 1 else ""
    workers = Text(words.counted(len(fleet.workers), "worker") + machines, "" if fleet.workers else "bold red")
    facts = [
        workers,
        Text(words.counted(fleet.in_flight, "call in flight")),
        Text.assemble("examples ", (words.rate(fleet.per_minute), "bold")),
    ]
    today = f"{words.dollars(books.spent / NANO)} today (UTC)"
    if books.per_day is not None:
        today = f"{words.dollars(books.spent / NANO)} of {words.budget(books.per_day / NANO)} today (UTC)"
    money = [Text.assemble((words.dollars(fleet.usd_per_hour), "bold"), " an hour"), Text(today)]
    if books.reserved:
        money.append(Text(f"{words.dollars(books.reserved / NANO)} reserved"))
    if books.unknown:
        money.append(Text(f"{words.dollars(books.unknown / NANO)} unknown", "yellow"))
    lines = [*labelled("fleet", flow(facts, room), _INDENT), *labelled("cost", flow(money, room), _INDENT)]
    if not fleet.workers:
        lines += labelled("", wrapped("No worker is alive: genfleet worker", room, "yellow"), _INDENT)
    return lines


def _model(model: ModelView, width: int) -> list[Text]:
    """A model in use: its limits, what refusals have done, and what waits for it."""
    lines = [Text(), Text(shortened(model.name, width), "bold")]
    for one in model.gauges:
        binds = one.name == model.binds
        line = Text.assemble((f"  {words.LIMITS[one.name]:<{_INDENT}}  ", "bright_black"))
        if width >= NARROW:
            line.append_text(gauge(_GAUGE, one.share or 0.0, binds=binds))
            line.append("  ")
        line.append(words.use(one), "yellow" if binds else "")
        if one.limit is None:
            line.append(" · no limit", "bright_black")
        if binds:
            line.append(" ← binds" if width >= NARROW else " ←", "bold yellow")
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    refused = Text(f"{model.now.refused:,} 429s", "yellow" if model.refused_lately else "")
    if model.refused_lately:
        refused.append(f", {model.refused_lately:,} in the last minute", "yellow")
    facts = [refused, Text(f"{model.now.share:.0%} of the limits in use", "yellow" if model.now.share < 0.995 else "")]
    if model.lines:
        facts.append(Text(f"{words.counted(model.lines.total(), 'line')} of {_named(list(model.lines))} waiting"))
    if model.binds in ("pause", "workers"):
        facts.append(Text(words.BINDS[model.binds], "yellow"))
    return lines + [Text.assemble("  ", line) for line in flow(facts, width - 2)]


def _named(jobs: Sequence[str]) -> str:
    return jobs[0] if len(jobs) == 1 else f"{len(jobs)} jobs"


def _idle(model: ModelView, width: int) -> Text:
    limits = ", ".join(
        f"{words.short(one.limit)}{'' if one.name == 'concurrent' else '/min'} {words.LIMITS[one.name]}"
        for one in model.gauges
        if one.limit
    )
    line = Text.assemble(model.name, f"  idle; {limits}" if limits else "  idle", style="bright_black")
    line.truncate(width, overflow="ellipsis")
    return line


def _jobs(jobs: Sequence[JobView], width: int) -> list[Text]:
    if not jobs:
        return []
    shown, lines = jobs[:_JOBS_MOST], [Text()]
    if width < NARROW:
        for job in shown:
            facts = [fact for name, fact in _facts(job).items() if name not in ("job", "bar") and fact]
            lines.append(Text(shortened(job.status.job, width), "bold"))
            lines += [Text.assemble("  ", line) for line in flow(facts, width - 2)]
    else:
        rows = [_facts(job) for job in shown]
        widths = {name: max(len(row[name]) for row in rows) for name in rows[0]}
        names = fitting(width, [(name, widths[name]) for name in ("job", "done", "rate", "cost", "left", "bar")])
        names.sort(key=list(rows[0]).index)
        lines += [_line({name: row[name] for name in names}, widths) for row in rows]
    if len(jobs) > _JOBS_MOST:
        lines.append(Text(f"and {len(jobs) - _JOBS_MOST:,} more that run: genfleet status", "bright_black"))
    return lines


def _facts(job: JobView) -> dict[str, Text]:
    status = job.status
    parts = [(status.accepted, "green"), (status.rejected, "red"), (status.running, "cyan")]
    return {
        "job": Text(shortened(status.job, 32), "bold"),
        "bar": bar(_GAUGE, parts, status.total),
        "done": Text(words.percent(status.settled, status.total)),
        "rate": Text(words.rate(job.per_minute)),
        "cost": Text(f"{words.dollars(job.usd_per_hour)} an hour"),
        "left": Text("" if job.left is None else f"{words.about(job.left.likely)} left"),
    }


def _workers(workers: Sequence[Worker], width: int, room: int | None) -> list[Text]:
    if not workers:
        return []
    order = sorted(workers, key=lambda one: (-one.in_flight.total(), -one.waiting.total(), one.name))
    rows = [_row(worker) for worker in order]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in _RANKS}
    widths["jobs"] = min(widths["jobs"], 20)
    names = fitting(width, [(name, widths[name]) for name in _RANKS])
    if "jobs" in names:
        widths["jobs"] = width - sum(widths[name] for name in names if name != "jobs") - 2 * (len(names) - 1)
    lines = [Text(), _line({name: Text(name, "bold") for name in names}, widths)]
    shown = rows if room is None or len(rows) + 2 <= room else rows[: max(1, room - 3)]
    lines += [_line({name: row[name] for name in names}, widths) for row in shown]
    if len(shown) < len(rows):
        lines.append(Text(f"and {len(rows) - len(shown):,} more", "bright_black"))
    return lines


def _row(worker: Worker) -> dict[str, Text]:
    return {
        "host": Text(shortened(worker.host, 32)),
        "process": Text(worker.process),
        "in flight": Text(f"{worker.in_flight.total():,}"),
        "waiting": Text(f"{worker.waiting.total():,}"),
        "beat": Text(f"{worker.silent:.0f} s", "yellow" if worker.silent > _LATE_SECONDS else ""),
        "jobs": Text(", ".join(worker.jobs) or "-", "bright_black"),
    }


def _line(row: dict[str, Text], widths: dict[str, int]) -> Text:
    cells = []
    for name, cell in row.items():
        one = cell.copy()
        one.truncate(widths[name], overflow="ellipsis")
        one.align("right" if name in _NUMBERS else "left", widths[name])
        cells.append(one)
    line = Text("  ").join(cells)
    line.rstrip()
    return line
