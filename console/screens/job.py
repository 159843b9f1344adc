"""One job as it goes, drawn for a terminal of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from console.reading import words
from console.reading.layout import NARROW, kept, shortened
from console.reading.next_step import next_steps
from console.reading.watching import Watched
from console.screens import facts
from console.screens.parts import STATES, bar, flow, gauge, labelled, wrapped
from ledger.jobs import AT_REST

INDENT, INDENT_NARROW = 11, 10
"""Columns of the labels, in a terminal of 60 columns or more and in a narrower one."""
_GAUGE = 16
_CAUSES = 6
_ALARM = "bold red"

Block = tuple[int, list[Text]]
"""Its rank (the higher, the earlier it goes where there is no room) and its lines."""


def drawing(
    watched: Watched,
    width: int,
    height: int,
    says: Sequence[str] = (),
    *,
    money: Sequence[Text] = (),
    steps: bool = True,
    starting: bool = False,
    ended: bool = False,
) -> list[Text]:
    """The job in at most `height` lines of at most `width` characters.

    Args:
        watched: the job and what is around it.
        width: of the terminal.
        height: lines that there is room for; where they are too few, what matters least goes.
        says: alarms, below its head.
        money: lines about its cost, instead of those of the display.
        steps: whether what keeps it from going on is said.
        starting: workers are on their way, if there are none.
        ended: it is the last drawing: what is of this moment alone is left out.
    """
    rests = ended or watched.status.state in AT_REST
    now = not rests
    blocks: list[Block] = [
        (0, _head(watched, width)),
        (0, [line for say in says for line in wrapped(say, width, _ALARM)]),
        (0, _bar(watched, width)),
        (1, _labelled("examples", facts.examples(watched), width)),
        (2, _labelled("rate", facts.rate(watched, rests), width)),
        (2, _labelled("time left", facts.left(watched) if now else [], width)),
        (1, _wrapped("cost", money, width) if money else _labelled("cost", facts.cost(watched), width)),
        (3, _limits(watched, width) if now else []),
        (4, _labelled("workers", facts.workers(watched, starting) if now or watched.around.in_flight else [], width)),
        (5, _failures(watched, width, watched.job.recent or {} if now else {})),
        (3, _steps(watched, width) if now and steps and not starting else []),
    ]
    shown = [block for block in blocks if block[1]]
    places = kept([(rank, len(lines)) for rank, lines in shown], height)
    return [line for place in places for line in shown[place][1]][: max(1, height)]


def _wrapped(label: str, told: Sequence[Text], width: int) -> list[Text]:
    indent = INDENT if width >= NARROW else INDENT_NARROW
    return labelled(label, [line for fact in told for line in wrapped(fact, width - indent)], indent)


def _listed(label: str, lines: Sequence[Text], width: int) -> list[Text]:
    indent = INDENT if width >= NARROW else INDENT_NARROW
    for line in lines:
        line.truncate(width - indent, overflow="ellipsis")
    return labelled(label, lines, indent)


def _labelled(label: str, told: list[Text], width: int) -> list[Text]:
    indent = INDENT if width >= NARROW else INDENT_NARROW
    return labelled(label, flow(told, width - indent), indent) if told else []


def _head(watched: Watched, width: int) -> list[Text]:
    status = watched.status
    state = Text(status.state, STATES[status.state])
    room = width - len(state) - 2
    name = shortened(status.job, room)
    model = f"  {status.model}"
    line = Text(name, "bold")
    if len(name) + len(model) <= room:
        line.append(model, "bright_black")
    line.append(" " * (width - len(line) - len(state)))
    line.append_text(state)
    return [line]


def _bar(watched: Watched, width: int) -> list[Text]:
    status = watched.status
    parts = [(status.accepted, "green"), (status.rejected, "red"), (status.running, "cyan")]
    percent = words.percent(status.settled, status.total)
    count = f"{status.settled:,} of {status.total:,}"
    if width >= NARROW:
        right = f"  {percent:>4}  {count}"
        return [Text.assemble(bar(width - len(right), parts, status.total), right)]
    return [bar(width, parts, status.total), Text(f"{percent}{count:>{width - len(percent)}}")]


def _limits(watched: Watched, width: int) -> list[Text]:
    binds = watched.binds
    lines = []
    for one in watched.around.gauges:
        if one.limit is None and not one.used:
            continue
        line = Text(f"{words.LIMITS[one.name]:<10}")
        if width >= NARROW:
            line.append_text(gauge(_GAUGE, one.share or 0.0, binds=one.name == binds))
            line.append("  ")
        line.append(words.use(one), "yellow" if one.name == binds else "")
        if one.limit is None:
            line.append(" · no limit", "bright_black")
        if one.name == binds:
            line.append(" ← binds" if width >= NARROW else " ←", "bold yellow")
        lines.append(line)
    notes = []
    if binds in ("pause", "workers"):
        notes.append(words.BINDS[binds])
    if watched.around.model.share < 0.995:
        notes.append(f"429s have left {watched.around.model.share:.0%} of the limits")
    lines += [line for note in notes for line in wrapped(note, width - INDENT, "yellow")]
    return _listed("limits", lines, width) if lines else []


def _failures(watched: Watched, width: int, recent: Mapping[str, int]) -> list[Text]:
    status = watched.status
    if not status.reasons:
        return []
    # What happens now first, then what happened most.
    order = sorted(status.reasons, key=lambda name: (-recent.get(name, 0), -status.reasons[name], name))
    lines = []
    for name in order[:_CAUSES]:
        cause, outcome = words.cause(name)
        line = Text.assemble(
            (f"{status.reasons[name]:>6,}  ", "red" if outcome == "rejected" else "yellow"),
            cause,
            (f" {outcome}", "bright_black"),
        )
        # Where all of them are of the last minute, there is nothing to tell.
        if 0 < recent.get(name, 0) < status.reasons[name]:
            line.append(f"  +{recent[name]:,}" + (" in the last minute" if width >= NARROW else ""), "yellow")
        lines.append(line)
    if rest := order[_CAUSES:]:
        lines.append(
            Text(f"{sum(status.reasons[name] for name in rest):>6,}  by {len(rest)} other causes", "bright_black")
        )
    return _listed("failures", lines, width)


def _steps(watched: Watched, width: int) -> list[Text]:
    lines: list[Text] = []
    for step in next_steps(watched.status, workers=watched.around.workers, fed=watched.fed):
        lines += wrapped(str(step), width, "yellow")
    return lines
