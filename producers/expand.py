"""From a recipe, its axes and its rows to examples: example i is always the same example."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from config.models import model
from config.recipe import Recipe
from config.request import build, size
from ledger.todo import Item

Variables = dict[str, Any]
OpenRows = Callable[[], Iterator[Variables]]
"""Opens a job's rows from the beginning."""


def draw_axes(recipe: Recipe, seed: int, k: int) -> Variables:
    """The axes' values for the recipe's k-th call.

    Plain axes together run through every combination once before any comes again, in an order that looks random;
    a weighted axis is drawn for each call on its own.
    """
    drawn: Variables = {}
    plain = {name: values for name, values in recipe.axes.items() if isinstance(values, list)}
    combinations = math.prod(len(values) for values in plain.values())
    index = _shuffled(k % combinations, combinations, f"{seed}:{recipe.name}:{k // combinations}")
    for name, values in plain.items():
        index, place = divmod(index, len(values))
        drawn[name] = values[place]
    for name, weights in recipe.axes.items():
        if isinstance(weights, dict):
            drawn[name] = _weighted(weights, _hash(f"{seed}:{recipe.name}:{name}:{k}") / 2**64)
    return drawn


def combinations(recipe: Recipe) -> int:
    """How many calls of the recipe differ in their plain axes."""
    return math.prod(len(values) for values in recipe.axes.values() if isinstance(values, list))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _shuffled(index: int, size: int, key: str) -> int:
    """The index's place in a keyed permutation of range(size): a Feistel network, walked until it is in range."""
    half = max(1, (max(1, size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for turn in range(4):
            left, right = right, left ^ (_hash(f"{key}:{turn}:{right}") & mask)
        index = (left << half) | right
        if index < size:
            return index


def _weighted(weights: dict[str, float], at: float) -> str:
    """The value at that point of the weights laid end to end, `at` from 0 to 1."""
    at *= sum(weights.values())
    for value, weight in weights.items():
        at -= weight
        if at < 0:
            return value
    return value


@dataclass(frozen=True)
class Share:
    """One recipe's part in a job: so many examples, in so many calls."""

    recipe: Recipe
    examples: int

    @property
    def calls(self) -> int:
        """Calls that make the examples."""
        return math.ceil(self.examples / self.recipe.items_per_call)


def shares(recipes: tuple[Recipe, ...], total: int) -> list[Share]:
    """The examples of a job divided evenly among its recipes."""
    each, more = divmod(total, len(recipes))
    return [Share(recipe, each + (k < more)) for k, recipe in enumerate(recipes)]


def expand(parts: list[Share], seed: int, rows: OpenRows | None) -> Iterator[Item]:
    """Every task of a job in order: the recipes in turn, until each has had its share.

    `rows` opens the rows from the beginning; where there are fewer rows than calls they come round again, with
    other values of the axes.

    Raises:
        RecipeError: a prompt cannot be rendered with its variables.
    """
    streams = [iter(_calls(part, number, seed, rows)) for number, part in enumerate(parts)]
    unit, first = 0, 0
    while streams:
        for stream in list(streams):
            item = next(stream, None)
            if item is None:
                streams.remove(stream)
                continue
            yield item.model_copy(update={"unit": unit, "first": first})
            unit, first = unit + 1, first + item.count


def _calls(part: Share, number: int, seed: int, rows: OpenRows | None) -> Iterator[Item]:
    recipe, left = part.recipe, part.examples
    row = _round_and_round(rows) if rows is not None and recipe.rows else None
    measure = prompt_size(recipe)
    for k in range(part.calls):
        variables = (next(row) if row else {}) | draw_axes(recipe, seed, k)
        count = min(recipe.items_per_call, left)
        left -= count
        yield Item.model_construct(
            unit=0,
            recipe=number,
            first=0,
            count=count,
            fraction=k / part.calls,
            variables=variables,
            prompt_bytes=measure(variables, count),
        )


def _round_and_round(rows: OpenRows) -> Iterator[Variables]:
    while True:
        yield from rows()


def _json_bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode())


def prompt_size(recipe: Recipe) -> Callable[[Variables, int], int]:
    """Measures a call's prompt in bytes, an upper bound of its tokens; what is the same in all is measured once."""
    asked = model(recipe.model)
    fixed: int | None = None

    def measure(variables: Variables, items: int) -> int:
        nonlocal fixed
        if fixed is None:
            whole = build(recipe, asked, variables, recipe.items_per_call)
            fixed = size(whole) - _json_bytes(recipe.render(variables, recipe.items_per_call))
        return fixed + _json_bytes(recipe.render(variables, items))

    return measure
