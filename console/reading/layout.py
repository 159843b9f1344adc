"""How much of something fits into so many columns: decisions by width alone, for terminals of any size."""

from __future__ import annotations

from collections.abc import Sequence

NARROW = 60
"""Columns below which a picture is drawn for a narrow terminal: no bars beside figures, short names."""


def cells(width: int, parts: Sequence[float], total: float) -> list[int]:
    """A bar of `width` cells shared among parts of a total; what is left of it belongs to nobody.

    Every part that is more than nothing has a cell, so that a few failures among many examples are seen, as long as
    there are as many cells; and the bar is full only when nothing is missing.
    """
    if width <= 0 or total <= 0:
        return [0] * len(parts)
    most = width if sum(parts) >= total else width - 1
    shares = [max(0.0, part) * width / total for part in parts]
    whole = [max(1, int(share)) if share > 0 else 0 for share in shares]
    # What rounding down left over, to those that lost most by it.
    for place in sorted(range(len(parts)), key=lambda place: whole[place] - shares[place]):
        if sum(whole) < min(most, round(sum(shares))) and shares[place] > 0:
            whole[place] += 1
    while sum(whole) > most:
        whole[max(range(len(whole)), key=whole.__getitem__)] -= 1
    return whole


def flowed(items: Sequence[str], width: int, between: str = " · ") -> list[list[int]]:
    """Which items stand in which line, by their places: none is broken, and as many stand together as fit."""
    lines: list[list[int]] = []
    used = 0
    for place, item in enumerate(items):
        if lines and used + len(between) + len(item) <= width:
            lines[-1].append(place)
            used += len(between) + len(item)
        else:
            lines.append([place])
            used = len(item)
    return lines


def shortened(name: str, width: int) -> str:
    """A name in at most so many characters: its middle goes, as names differ at their ends."""
    if len(name) <= width:
        return name
    if width <= 1:
        return "…"[: max(0, width)]
    tail = (width - 1) // 2
    return name[: width - 1 - tail] + "…" + name[len(name) - tail :]


def fitting(width: int, columns: Sequence[tuple[str, int]], gap: int = 2) -> list[str]:
    """The names of as many columns as fit, in their order.

    Args:
        width: of all.
        columns: name and width of each, the most important first.
        gap: between two columns.
    """
    taken: list[str] = []
    used = -gap
    for name, needs in columns:
        if used + gap + needs > width and taken:
            continue
        taken.append(name)
        used += gap + needs
    return taken


def kept(blocks: Sequence[tuple[int, int]], room: int) -> list[int]:
    """Which blocks are shown where there is not room for all: their places, in order.

    Args:
        blocks: rank and lines of each, in the order they are shown; those of the highest rank go first, of the same
            rank the last.
        room: lines.
    """
    places = list(range(len(blocks)))
    while len(places) > 1 and sum(blocks[place][1] for place in places) > room:
        places.remove(max(places, key=lambda place: (blocks[place][0], place)))
    return places
