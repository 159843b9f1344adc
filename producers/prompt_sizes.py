"""How large a job's prompts are: a sample of its tasks, evenly over the job, as they would be enqueued."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from producers.expand import Share, Variables, draw_axes, prompt_size
from producers.plan import Plan

_MOST = 500
_ROOM = 1_000  # rows held at once, so that a few picked from them are evenly spread
_LOOK_AT_CLOCK_EVERY = 256


class Spread(NamedTuple):
    """Rows picked evenly, with their places, and how many were gone through; `all` where none was left out."""

    picked: list[tuple[int, Variables]]
    seen: int
    all: bool


def prompt_sizes(planned: Plan, seconds: float | None = None, most: int = _MOST) -> list[list[int]]:
    """Prompt bytes of at most `most` tasks of each of the job's parts; of all, where there are no more.

    Rows are gone through once. After `seconds` those that were not reached are left out.

    Raises:
        RecipeError: a prompt cannot be rendered with its variables.
        RowsError: the rows can no longer be read.
    """
    rows = None
    if planned.rows is not None:
        calls = max((part.calls for part in planned.parts if part.recipe.rows), default=0)
        rows = spread(planned.rows(), calls, most, None if seconds is None else time.monotonic() + seconds)
    return [_sizes(part, planned.spec.seed, rows if part.recipe.rows else None, most) for part in planned.parts]


def spread(rows: Iterator[Variables], calls: int, most: int, deadline: float | None = None) -> Spread:
    """At most `most` of the first `calls` rows, evenly over them, in one pass and without knowing how many there are.

    Every so-manieth row is kept; when there is no room for more, every second of them is let go.
    """
    room = max(2 * most, _ROOM)
    kept: list[tuple[int, Variables]] = []
    step, seen = 1, 0
    for place, row in enumerate(islice(rows, calls)):
        seen = place + 1
        if place % step == 0:
            if len(kept) == room:
                kept, step = kept[::2], 2 * step
            if place % step == 0:
                kept.append((place, row))
        if deadline is not None and place % _LOOK_AT_CLOCK_EVERY == 0 and time.monotonic() > deadline:
            break
    return Spread([kept[place] for place in _evenly(len(kept), most)], seen, seen <= most)


def _evenly(count: int, most: int) -> list[int]:
    """At most `most` of range(count), each from the middle of its share."""
    taken = min(count, most)
    return [(2 * place + 1) * count // (2 * taken) for place in range(taken)]


def _sizes(part: Share, seed: int, rows: Spread | None, most: int) -> list[int]:
    recipe = part.recipe
    measure = prompt_size(recipe)
    last = part.examples - (part.calls - 1) * recipe.items_per_call

    def size(k: int, row: Variables) -> int:
        items = recipe.items_per_call if k < part.calls - 1 else last
        return measure(row | draw_axes(recipe, seed, k), items)

    if rows is None:
        return [size(k, {}) for k in _evenly(part.calls, most)]
    if rows.all:
        return [size(k, rows.picked[k % rows.seen][1]) for k in _evenly(part.calls, most)]
    sizes = []
    for number, (place, row) in enumerate(rows.picked):
        if place < part.calls:
            # Rows come round again, with other axes, until there is one for each call.
            rounds = math.ceil((part.calls - place) / rows.seen)
            sizes.append(size(place + rows.seen * (number % rounds), row))
    return sizes
