"""Pieces of a screen: bars, lines of facts, colours."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from console.reading.layout import cells, flowed, shortened
from ledger.jobs import State

STATES: dict[State, str] = {
    "running": "green",
    "complete": "bold green",
    "paused": "yellow",
    "budget": "yellow",
    "stopped": "bold red",
    "cancelled": "dim",
}
#: How full a limit is from which on its bar is shown as full.
_FULL = 0.97
_BETWEEN = " · "


def bar(width: int, parts: Sequence[tuple[float, str]], total: float) -> Text:
    """A bar of parts, each with its colour; what is missing is grey."""
    text = Text(no_wrap=True)
    lengths = cells(width, [part for part, _ in parts], total)
    for length, (_, colour) in zip(lengths, parts, strict=True):
        text.append("━" * length, colour)
    text.append("━" * (width - sum(lengths)), "bright_black")
    return text


def gauge(width: int, share: float, *, binds: bool = False) -> Text:
    """A small bar: how much of a limit is used."""
    colour = "yellow" if binds else "cyan" if share < _FULL else "blue"
    return bar(width, [(min(1.0, share), colour)], 1.0)


def flow(facts: Sequence[Text], width: int) -> list[Text]:
    """Facts one after the other, in as many lines as they need; none is broken unless it alone is too long."""
    lines = []
    for places in flowed([fact.plain for fact in facts], width, _BETWEEN):
        # Not a grey text that joins them: its grey would be that of the whole line.
        line = Text.assemble((_BETWEEN, "bright_black")).join(facts[place] for place in places)
        if len(line) > width:
            line.truncate(max(1, width), overflow="ellipsis")
        lines.append(line)
    return lines


def labelled(label: str, lines: Sequence[Text], indent: int) -> list[Text]:
    """Lines with a label before the first, the others below it."""
    heads = [Text(f"{label:<{indent}}", "bright_black"), *(Text(" " * indent) for _ in lines[1:])]
    return [Text.assemble(head, line) for head, line in zip(heads, lines, strict=True)]


def wrapped(text: Text | str, width: int, colour: str = "") -> list[Text]:
    """Words in lines, none longer than the width; a word that is too long for one is cut in its middle."""
    whole = Text(text, colour) if isinstance(text, str) else text
    lines: list[Text] = []
    used = width
    for one in whole.split(" "):
        word = one if len(one) <= width else Text(shortened(one.plain, max(1, width)), one.style)
        if lines and used + 1 + len(word) <= width:
            lines[-1] = Text.assemble(lines[-1], " ", word)
            used += 1 + len(word)
        else:
            lines.append(word)
            used = len(word)
    return lines
