"""Examples from axes and rows: always the same ones, each combination once, each recipe its share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import recipe_of

from config.errors import RecipeError
from config.models import model
from config.recipe import Recipe
from config.request import build, size
from ledger.todo import Item
from producers.expand import Share, Variables, combinations, draw_axes, expand, prompt_size, shares

SEED = st.integers(0, 2**31)


def plain(*lengths: int, **others: Any) -> Recipe:
    """A recipe with plain axes of these lengths."""
    axes: dict[str, Any] = {f"a{k}": list(range(length)) for k, length in enumerate(lengths)}
    return recipe_of(prompt="x", axes=axes | others)


def items(
    recipes: list[Recipe], total: int, seed: int = 0, rows: Callable[[], Iterator[Variables]] | None = None
) -> list[Item]:
    return list(expand(shares(tuple(recipes), total), seed, rows))


def some_rows(count: int) -> Callable[[], Iterator[Variables]]:
    return lambda: ({"passage": f"brano {k}"} for k in range(count))


@given(st.lists(st.integers(1, 7), max_size=3), SEED)
def test_every_combination_once(lengths: list[int], seed: int) -> None:
    """Plain axes run through all their combinations before any comes again, and then through all again."""
    recipe = plain(*lengths)
    whole = combinations(recipe)
    drawn = [json.dumps(draw_axes(recipe, seed, k)) for k in range(2 * whole)]
    assert len(set(drawn)) == whole
    assert set(Counter(drawn[:whole]).values()) == {1}
    assert set(Counter(drawn[whole:]).values()) == {1}


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 20_508])
def test_every_size(size: int) -> None:
    """A permutation holds for sizes at and beside the powers of two that it is made of."""
    recipe = plain(size)
    assert sorted(draw_axes(recipe, 1, k)["a0"] for k in range(size)) == list(range(size))


def test_the_order_looks_random() -> None:
    """Neighbours have nothing to do with each other, rounds differ, and so do seeds and recipes."""
    recipe = plain(50, 40)
    rounds = [[draw_axes(recipe, seed, k + at)["a0"] for k in range(2000)] for seed, at in ((0, 0), (0, 2000), (1, 0))]
    other = [draw_axes(recipe.model_copy(update={"name": "other"}), 0, k)["a0"] for k in range(2000)]
    for order in (*rounds, other):
        steps = Counter((b - a) % 50 for a, b in pairwise(order))
        assert max(steps.values()) < 100
    assert len({tuple(order) for order in (*rounds, other)}) == 4


@given(SEED, st.integers(0, 10**6))
def test_an_example_is_always_the_same(seed: int, k: int) -> None:
    """Example k depends on recipe, seed and k alone."""
    recipe = plain(7, 11, level={"a": 1, "b": 3})
    assert draw_axes(recipe, seed, k) == draw_axes(recipe.model_copy(), seed, k)


def test_examples_are_the_same_for_ever() -> None:
    """A job that is resumed after an upgrade must find the examples it began with: these values never change."""
    recipe = plain(50, 40, level={"facile": 0.5, "medio": 0.3, "difficile": 0.2})
    assert [tuple(draw_axes(recipe, 7, k).values()) for k in (0, 1, 2, 1999, 2000)] == FIRST


FIRST = [(2, 10, "difficile"), (19, 6, "facile"), (49, 33, "medio"), (16, 39, "difficile"), (20, 16, "facile")]


@pytest.mark.parametrize("seed", [0, 1, 20_508])
@pytest.mark.parametrize("weights", [{"facile": 0.5, "medio": 0.3, "difficile": 0.2}, {"a": 9, "b": 1}, {"only": 0.1}])
def test_weights_are_shares(weights: dict[str, float], seed: int) -> None:
    """Each value of a weighted axis comes as often as its weight says, give or take chance."""
    recipe = recipe_of(prompt="x", axes={"level": weights})
    found = Counter(draw_axes(recipe, seed, k)["level"] for k in range(4000))
    assert set(found) <= set(weights)
    for value, weight in weights.items():
        assert abs(found[value] / 4000 - weight / sum(weights.values())) < 0.03


def test_weighted_axes_are_drawn_alone() -> None:
    """Two weighted axes, and a weighted and a plain one, do not go together."""
    recipe = recipe_of(prompt="x", axes={"a": {"x": 1, "y": 1}, "b": {"x": 1, "y": 1}, "c": ["x", "y"]})
    drawn = [draw_axes(recipe, 0, k) for k in range(4000)]
    for one, other in (("a", "b"), ("a", "c")):
        assert abs(sum(draw[one] == draw[other] for draw in drawn) / 4000 - 0.5) < 0.03


def test_values_of_axes_are_given_as_they_are() -> None:
    """Tables and numbers reach the prompt as they stand in the recipe."""
    topic = {"materia": "storia", "tema": "il Risorgimento"}
    recipe = recipe_of(prompt="{{ topic.tema }}", axes={"topic": [topic], "n": [3]})
    assert draw_axes(recipe, 0, 0) == {"topic": topic, "n": 3}


@given(st.integers(1, 5), st.integers(1, 60))
def test_shares(recipes: int, total: int) -> None:
    """The examples are divided evenly, and none is lost or added."""
    found = [share.examples for share in shares((recipe_of(),) * recipes, total)]
    assert sum(found) == total
    assert max(found) - min(found) <= 1
    assert found == sorted(found, reverse=True)


CALLS = st.sampled_from([(1, 1), (2, 1), (3, 1), (4, 2), (6, 2), (6, 6)])


@given(st.lists(CALLS, min_size=1, max_size=4), st.integers(1, 40), SEED)
def test_counts(calls: list[tuple[int, int]], total: int, seed: int) -> None:
    """Every example of the job is asked for once, in calls no larger than the recipe's, numbered without a gap."""
    recipes = [recipe_of(name=f"r{k}", call={"items": asked, "split": split}) for k, (asked, split) in enumerate(calls)]
    parts = shares(tuple(recipes), total)
    found = list(expand(parts, seed, None))
    assert [item.unit for item in found] == list(range(sum(part.calls for part in parts)))
    assert [item.first for item in found] == [sum(one.count for one in found[:k]) for k in range(len(found))]
    for number, part in enumerate(parts):
        mine = [item.count for item in found if item.recipe == number]
        assert sum(mine) == part.examples
        assert mine[:-1] == [part.recipe.items_per_call] * (len(mine) - 1)
        assert not mine or 1 <= mine[-1] <= part.recipe.items_per_call


def test_recipes_come_in_turn() -> None:
    """The recipes of a mix alternate until one has had its share; the others go on."""
    recipes = [recipe_of(name="a"), recipe_of(name="b", call={"items": 3}), recipe_of(name="c")]
    found = items(recipes, 15)
    assert [item.recipe for item in found] == [0, 1, 2, 0, 1, 2, 0, 2, 0, 2, 0, 2]
    assert sum(item.count for item in found) == 15


def test_each_recipe_draws_for_itself() -> None:
    """In a mix a recipe has the same variables as alone."""
    mixed = items([recipe_of(name="a"), recipe_of(name="b")], 10)
    alone = items([recipe_of(name="a")], 5)
    assert [item.variables for item in mixed if item.recipe == 0] == [item.variables for item in alone]


@given(st.integers(1, 40), st.integers(0, 40), SEED)
def test_resuming_at_a_cursor(total: int, cursor: int, seed: int) -> None:
    """A producer that begins anew at the cursor enqueues what the first one would have."""
    recipes = [recipe_of(name="a", rows=["passage"], prompt="{{ passage }}"), recipe_of(name="b", call={"items": 2})]
    again = expand(shares(tuple(recipes), total), seed, some_rows(3))
    assert list(islice(again, cursor, None)) == items(recipes, total, seed, some_rows(3))[cursor:]


def test_rows_come_round() -> None:
    """Where there are fewer rows than calls they come again in order, with other values of the axes."""
    recipe = recipe_of(rows=["passage"], prompt="{{ passage }} {{ subject }}", axes={"subject": list(range(100))})
    found = items([recipe], 10, rows=some_rows(4))
    assert [item.variables["passage"] for item in found] == [f"brano {k % 4}" for k in range(10)]
    assert len({item.variables["subject"] for item in found}) == 10


def test_a_recipe_without_rows_takes_none() -> None:
    """In a mix, rows go to the recipes that take them, each from the first row on."""
    with_rows = [recipe_of(name=name, rows=["passage"], prompt="{{ passage }}") for name in ("a", "c")]
    found = items([with_rows[0], recipe_of(name="b"), with_rows[1]], 9, rows=some_rows(2))
    passages = [[item.variables.get("passage") for item in found if item.recipe == k] for k in range(3)]
    assert passages == [["brano 0", "brano 1", "brano 0"], [None] * 3, ["brano 0", "brano 1", "brano 0"]]


def test_fraction() -> None:
    """Each call knows how far its recipe's part is: from 0 up to, and never at, 1."""
    assert [item.fraction for item in items([recipe_of()], 5)] == [0, 0.2, 0.4, 0.6, 0.8]


def test_a_prompt_that_cannot_be_rendered() -> None:
    """A row without a column that the template needs is an error of the recipe before it is enqueued."""
    recipe = recipe_of(rows=["passage"], prompt="{{ title }}")
    with pytest.raises(RecipeError, match="title"):
        items([recipe], 2, rows=some_rows(1))


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.lists(st.tuples(WORDS, st.integers(1, 6)), min_size=1, max_size=5), st.sampled_from(["", "x" * 90]))
def test_prompt_size(calls: list[tuple[str, int]], longer_alone: str) -> None:
    """What is measured is the size of the request; for a last call of fewer items it is no less than that."""
    prompt = "{{ subject }}{% if items == 1 %}" + longer_alone + "{% endif %}"
    recipe = recipe_of(prompt=prompt, call={"items": 6})
    measure = prompt_size(recipe)
    for subject, count in calls:
        real = size(build(recipe, model(recipe.model), {"subject": subject}, count))
        assert measure({"subject": subject}, count) >= real
        if count == 6:
            assert measure({"subject": subject}, count) == real


def test_a_share_without_examples() -> None:
    """A recipe that gets no example makes no call."""
    assert Share(recipe_of(), 0).calls == 0
    assert items([recipe_of(name="a"), recipe_of(name="b")], 1)[0].recipe == 0
