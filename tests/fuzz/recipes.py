"""Recipes that a person writes, and templates in them."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import strategies as st

from config.errors import RecipeError
from config.models import model
from config.recipe import Recipe
from config.recipe_check import recipe_problems
from config.recipe_files import load
from config.request import build
from fuzz.target import JSON, TOML_PIECES, Target, corpus, damaged, file_of
from ledger.jobs import Spec, spec_of
from producers.expand import draw_axes

PIECES = [
    *TOML_PIECES,
    b'"""',
    b"{{",
    b"}}",
    b"{%",
    b"%}",
    b"{{ a.__class__ }}",
    b"\\u0000",
    b"output = ",
    b"[output]\n",
    b"[[axes]]\n",
    b"[sampling]\n",
    b'"os:system"',
    b'"config.recipes.schemas:Quiz"',
    b"rows = []\n",
    b"{% for a in items %}",
    b"{{ '%s' % 1 }}",
    b"$ref",
    b"type",
    b"properties",
]


def _sentences(problems: list[str]) -> None:
    assert problems
    assert all(problem.rstrip()[-1] in ".!" and "Traceback" not in problem for problem in problems)


def _usable(recipe: Recipe) -> None:
    """A recipe that is fine can be asked for, and is the same on a worker that has never seen its file."""
    spec = Spec(recipes=(recipe,), model=recipe.model, total=1, seed=0)
    assert spec_of("recipe-0123456789", spec.model_dump_json(by_alias=True).encode()) == spec
    variables = dict.fromkeys(recipe.rows, "Ciao.") | draw_axes(recipe, 0, 0)
    try:
        build(recipe, model(recipe.model), variables, recipe.items_per_call)
    except RecipeError as error:  # such as a filter that breaks on this value
        _sentences(error.problems)


def any_file(data: bytes) -> None:
    """A file is a recipe that can be used, or every problem of it in a sentence; and nothing is imported for it."""
    before = set(sys.modules)
    with file_of(data, "recipe.toml") as path:
        try:
            recipe = load(path)
        except RecipeError as error:
            _sentences(error.problems)
        else:
            assert recipe_problems(recipe) == []
            _usable(recipe)
    new = {name for name in set(sys.modules) - before if "." not in name}
    assert not new, f"imported {new}"


_TEMPLATES = st.lists(
    st.sampled_from(
        [
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            " ",
            "a",
            "items",
            "''",
            "[]",
            "{}",
            "(",
            ")",
            ".",
            ",",
            "|",
            "~",
            "+",
            "*",
            "**",
            "%",
            "-",
            "1",
            "10**9",
            "for x in a",
            "for x in range(99999)",
            "endfor",
            "if a",
            "endif",
            "set a = a ~ a",
            "macro m(n)",
            "endmacro",
            "m(9)",
            "__class__",
            "__mro__",
            "__subclasses__()",
            "__globals__",
            "mro",
            "join",
            "list",
            "replace('', a)",
            "center(999999999)",
            "format(a)",
            "attr('__class__')",
            "map(attribute='x')",
            "cycler",
            "lipsum",
            "namespace",
            "self",
            "loop",
            "caller",
            "import 'x' as y",
            "include 'x'",
            "extends 'x'",
            "raw",
            "endraw",
            "format_map",
            "string",
            "tojson",
            "batch(9**9)",
            "is defined",
            "x",
            "\n",
            "è",
            "\0",
        ]
    ),
    max_size=20,
).map(" ".join)


def any_prompt(given: tuple[str, Any]) -> None:
    """A prompt is a text, or an error in a sentence; it never reaches what is behind its values."""
    prompt, value = given
    recipe = Recipe.model_construct(name="r", prompt=prompt, system="", rows=("a",))
    try:
        text = recipe.render({"a": value}, 1)
    except RecipeError as error:
        assert error.problems
    else:
        assert "<class '" not in text or "<class '" in repr(value)


TARGETS = {
    "recipes": Target(damaged(corpus("recipes"), PIECES), any_file),
    "prompts": Target(st.tuples(_TEMPLATES | st.text(max_size=30), JSON), any_prompt),
}
