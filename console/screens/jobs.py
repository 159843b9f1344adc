"""All jobs in one screen: those that run on top, then the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from console.reading import words
from console.reading.job import JobView
from console.reading.layout import NARROW, fitting, shortened
from console.screens.parts import STATES, bar, wrapped
from ledger.status import Status

_BAR = 12
_NAME_MOST = 32
#: Where there is not room for all of a job's columns, those named last go first.
_RANKS = ("job", "state", "done", "cost", "left", "rate", "examples", "bar", "rejected", "model")
_SHOWN = ("job", "state", "bar", "done", "examples", "rejected", "rate", "cost", "left", "model")
_TEXTS = ("job", "state", "bar", "model")


def ordered(statuses: Sequence[Status]) -> list[Status]:
    """Running jobs first; among the running, as among the others, as they were given: the newest first."""
    return sorted(statuses, key=lambda status: status.state != "running")


def table(
    statuses: Sequence[Status], views: Mapping[str, JobView], width: int, height: int | None = None
) -> list[Text]:
    """The jobs, a line each with its note below; for a narrow terminal, some lines each.

    Args:
        statuses: in their order.
        views: of the running jobs, by id.
        width: of the terminal.
        height: lines that there is room for; the jobs that do not fit are counted. None shows them all.
    """
    rows = [_cells(status, views.get(status.job), width) for status in statuses]
    lines, blocks = list[Text](), [_narrow(status, row, width) for status, row in zip(statuses, rows, strict=True)]
    if width >= NARROW:
        widths = {name: max([len(name), *(len(row[name]) for row in rows)]) for name in _RANKS}
        names = sorted(fitting(width, [(name, widths[name]) for name in _RANKS]), key=_SHOWN.index)
        lines.append(_line({name: Text("" if name == "bar" else name, "bold") for name in names}, widths))
        blocks = [
            [_line({name: row[name] for name in names}, widths), *_note(status, width)]
            for status, row in zip(statuses, rows, strict=True)
        ]
    for place, block in enumerate(blocks):
        left = len(blocks) - place
        if height is not None and place and len(lines) + len(block) + (left > 1) > height:
            more = f"and {left:,} more; genfleet status JOB shows any of them"
            lines.append(Text(more if len(more) <= width else f"and {left:,} more", "bright_black"))
            break
        lines += block
    return lines


def _line(row: Mapping[str, Text], widths: Mapping[str, int]) -> Text:
    padded = []
    for name, cell in row.items():
        one = cell.copy()
        one.align("left" if name in _TEXTS else "right", widths[name])
        padded.append(one)
    line = Text("  ").join(padded)
    line.rstrip()
    return line


def _narrow(status: Status, row: Mapping[str, Text], width: int) -> list[Text]:
    state = row["state"]
    head = Text(shortened(status.job, width - len(state) - 2), "bold")
    head.append(" " * (width - len(head) - len(state)))
    head.append_text(state)
    tail = Text.assemble("  ", row["done"], "  ", row["examples"])
    facts = Text("  ").join(row[name] for name in ("cost", "rate", "left") if row[name])
    facts = Text.assemble("  ", facts)
    facts.truncate(width, overflow="ellipsis")
    middle = Text.assemble("  ", bar(max(1, width - 2 - len(tail)), _parts(status), status.total), tail)
    return [head, middle, facts, *_note(status, width)]


def _note(status: Status, width: int) -> list[Text]:
    if not status.note:
        return []
    return [Text.assemble("  ", line) for line in wrapped(status.note, width - 2, "yellow")]


def _parts(status: Status) -> list[tuple[float, str]]:
    return [(status.accepted, "green"), (status.rejected, "red"), (status.running, "cyan")]


def _cells(status: Status, view: JobView | None, width: int) -> dict[str, Text]:
    of = "" if status.budget_usd is None else f" of {words.budget(status.budget_usd)}"
    left = view.left if view is not None else None
    return {
        "job": Text(shortened(status.job, max(_NAME_MOST, width // 4)), "bold"),
        "state": Text(status.state, STATES[status.state]),
        "bar": bar(_BAR, _parts(status), status.total),
        "done": Text(words.percent(status.settled, status.total)),
        "examples": Text(f"{status.settled:,}/{status.total:,}"),
        "rejected": Text(f"{status.rejected:,}" if status.rejected else "", "red"),
        "rate": Text("" if view is None else words.rate(view.per_minute)),
        "cost": Text(words.dollars(status.cost_usd) + of),
        "left": Text("" if left is None else words.about(left.likely)),
        "model": Text(status.model, "bright_black"),
    }
