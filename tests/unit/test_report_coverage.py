"""Coverage of axes: what is due by the recipe's weights, and what counts as missing or thin."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import recipe_of

from config.recipe import Recipe
from console.report.count_axes import count_axes
from console.report.coverage import Cell, axis_of, name_of, pair_of, telling, weights
from ledger.storable import json_line
from producers.expand import draw_axes

SUBJECTS = ["storia", "l'arte", "«fisica» e “musica”", {"materia": "x", "tema": "y / z"}, 3, 3.5, True, None]
AXES = {"subject": SUBJECTS, "level/~": ["a", "b", "a"], "weight": {"facile": 0.7, "difficile": 0.3}}


def stored(path: Path, recipe: Recipe, draws: list[dict[str, Any]]) -> Path:
    """A part file of examples with these variables."""
    rows = [{"index": k, "recipe": recipe.name, "variables": one, "output": {}} for k, one in enumerate(draws)]
    path.write_bytes(b"".join(map(json_line, rows)))
    return path


def test_counts_are_those_of_the_part_files(tmp_path: Path) -> None:
    """Values of every kind, in axes of any name, are counted as plain Python counts them, alone and in pairs."""
    recipe = recipe_of(axes=AXES, prompt="{{ subject }}")
    draws = [draw_axes(recipe, 7, k) for k in range(200)]
    ((covered,), sizes) = count_axes([recipe], [stored(tmp_path / "one.jsonl", recipe, draws)])
    assert sizes == {"cards": 200}
    for axis in covered.axes:
        texts = [json.dumps(value) for value, _ in weights(recipe.axes[axis.name])]
        counts = Counter(json.dumps(one[axis.name]) for one in draws)
        assert [value.count for value in axis.values] == [counts[text] for text in texts]
        assert axis.other == 0
    names = list(AXES)
    for pair in covered.pairs:
        both = Counter((json.dumps(one[pair.first]), json.dumps(one[pair.second])) for one in draws)
        assert Counter(cell.count for cell in pair.all if cell.count) == Counter(both.values())
        assert names.index(pair.first) < names.index(pair.second)
    assert covered.possible == len(SUBJECTS) * 2
    assert covered.seen == len({(json.dumps(one["subject"]), one["level/~"]) for one in draws})


def test_values_that_the_recipe_does_not_have_are_told(tmp_path: Path) -> None:
    """An example with another value, or without the axis, counts for none of its values."""
    recipe = recipe_of(axes={"subject": ["storia", "scienze"]})
    draws = [{"subject": "storia"}, {"subject": "altro"}, {}]
    ((covered,), _) = count_axes([recipe], [stored(tmp_path / "one.jsonl", recipe, draws)])
    (axis,) = covered.axes
    assert ([value.count for value in axis.values], axis.other) == ([1, 0], 2)


def test_recipes_are_counted_apart(tmp_path: Path) -> None:
    """Two recipes with an axis of the same name each have their own values."""
    one, other = recipe_of(), recipe_of(name="others", axes={"subject": ["arte"]})
    parts = [
        stored(tmp_path / "one.jsonl", one, [{"subject": "storia"}] * 3),
        stored(tmp_path / "other.jsonl", other, [{"subject": "arte"}]),
    ]
    (first, second), sizes = count_axes([one, other], parts)
    assert (first.examples, second.examples, sizes) == (3, 1, {"cards": 3, "others": 1})
    assert [value.count for value in first.axes[0].values] == [3, 0]
    assert [value.count for value in second.axes[0].values] == [1]


def test_nothing_and_no_axes_are_coverage_too(tmp_path: Path) -> None:
    """Without part files, or without axes, there are no cells and nothing breaks."""
    recipe = recipe_of(axes={}, prompt="x")
    assert count_axes([recipe], [])[0][0].axes == ()
    ((covered,), _) = count_axes([recipe], [stored(tmp_path / "one.jsonl", recipe, [{}])])
    assert (covered.examples, covered.axes, covered.pairs, covered.possible) == (1, (), (), 0)


def test_a_very_long_row_is_read(tmp_path: Path) -> None:
    """A line of megabytes, as a row with a book in it makes, does not stop the count."""
    recipe = recipe_of()
    draws = [{"subject": "storia", "book": "x" * 5_000_000}, {"subject": "scienze"}]
    ((covered,), _) = count_axes([recipe], [stored(tmp_path / "one.jsonl", recipe, draws)])
    assert [value.count for value in covered.axes[0].values] == [1, 1]


def test_weights_are_shares() -> None:
    """A list gives each value its part, a repeated one more; a table is divided by its sum; 1 and true differ."""
    assert weights(["a", "b", "a", "c"]) == [("a", 0.5), ("b", 0.25), ("c", 0.25)]
    assert weights({"a": 3, "b": 1}) == [("a", 0.75), ("b", 0.25)]
    assert weights([1, True]) == [(1, 0.5), (True, 0.5)]


@pytest.mark.parametrize(
    ("count", "due", "state"),
    [
        (0, 0.5, ""),  # none was to be expected
        (0, 1.0, "missing"),
        (0, 900.0, "missing"),
        (1, 4.0, ""),  # chance may do that
        (81, 100.0, ""),
        (69, 100.0, "thin"),
        (790, 1000.0, "thin"),
        (810, 1000.0, ""),  # less than chance explains, and yet four fifths of what is due
        (150, 100.0, ""),
    ],
)
def test_states(count: int, due: float, state: str) -> None:
    """A cell is missing or thin by what is due and by what chance explains."""
    assert Cell("x", count, due).state == state


@given(
    counts=st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=2, max_size=2),
)
def test_what_is_due_adds_up(counts: list[list[int]]) -> None:
    """Due over the values of an axis, and over the cells of a pair, is all examples."""
    examples = sum(map(sum, counts))
    first = axis_of("one", ["a", "b"], [sum(row) for row in counts], examples)
    second = axis_of("two", {"x": 1, "y": 2, "z": 5}, [sum(column) for column in zip(*counts, strict=True)], examples)
    pair = pair_of(first, second, counts, examples)
    assert sum(value.due for value in first.values) == pytest.approx(examples)
    assert sum(cell.due for cell in pair.all) == pytest.approx(examples)
    assert pair.gaps == len(pair.of("missing")) + len(pair.of("thin"))
    assert sum(cell.count for cell in pair.all) == examples


def test_pictures_are_of_pairs_with_enough_examples() -> None:
    """Pairs of too few examples or one column are not drawn; those with gaps come first."""
    even = [[20, 20], [20, 20]]
    gaps = [[40, 0], [20, 20]]
    axes = [axis_of(name, ["a", "b"], [40, 40], 80) for name in ("one", "two")]
    full, poor = (pair_of(*axes, counts, 80) for counts in (even, gaps))
    few = pair_of(*(axis_of(name, ["a", "b"], [2, 2], 4) for name in ("one", "two")), [[1, 1], [1, 1]], 4)
    narrow = pair_of(axes[0], axis_of("two", ["a"], [80], 80), [[40], [40]], 80)
    assert telling([full, few, narrow, poor], 5) == [poor, full]
    assert telling([full, poor], 1) == [poor]


@pytest.mark.parametrize(
    ("value", "name"), [("a", "a"), ({"m": "a", "t": 2}, "a · 2"), (["a", 1], "a, 1"), (None, "None"), (True, "True")]
)
def test_values_have_names(value: Any, name: str) -> None:
    """Tables and lists as values of an axis are told by what is in them."""
    assert name_of(value) == name
