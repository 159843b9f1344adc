"""Recipes on disk: found by name or by path, and read with every problem at once."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.errors import RecipeError, UserError
from config.importing import importable_from
from config.models import models
from config.recipe import Recipe
from config.recipe_check import recipe_problems
from config.settings import settings
from config.toml_files import read_toml

BUILT_IN = Path(__file__).with_name("recipes")


def load(path: Path) -> Recipe:
    """The recipe in a file, every problem at once.

    Raises:
        RecipeError: one sentence per problem, with the field's name.
    """
    try:
        raw = read_toml(path, UserError)
    except UserError as error:
        raise RecipeError(str(path), [str(error).removeprefix(f"{path}: ")]) from None
    importable_from(path.parent)
    try:
        recipe = Recipe.model_validate(raw)
        problems: list[str] = []
    except ValidationError as error:
        problems = [_sentence(dict(e)) for e in error.errors()]
        recipe = _mended(raw, error)
    problems += recipe_problems(recipe)
    if problems:
        raise RecipeError(str(path), problems)
    return recipe


_STAND_INS: dict[str, Any] = {
    "name": "recipe",
    "prompt": "-",
    "output": {"type": "object", "properties": {"x": {"type": "string"}}},
}


def _mended(raw: dict[str, Any], error: ValidationError) -> Recipe:
    """The recipe with what is wrong left out or stood in for, so that all else in it can be checked as well."""
    mended = copy.deepcopy(raw)
    for problem in error.errors():
        first, *rest = problem["loc"]
        if first == "axes" and rest and isinstance(mended.get("axes"), dict):
            mended["axes"][rest[0]] = ["-"]
        elif first in _STAND_INS:
            mended[str(first)] = _STAND_INS[str(first)]
        elif first == "model":
            mended["model"] = next(iter(models()))
        elif len(rest) == 1 and isinstance(mended.get(str(first)), dict):
            mended[str(first)].pop(rest[0], None)
        else:
            mended.pop(str(first), None)
    return Recipe.model_validate(mended)


def _sentence(problem: dict[str, Any]) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    reason = problem["msg"].removeprefix("Value error, ")
    for python, toml in (("a valid tuple", "a list"), ("a valid dictionary", "a table")):
        reason = reason.replace(python, toml)
    match problem["type"]:
        case "missing":
            return f"{field}: is missing."
        case "extra_forbidden":
            return f"{field}: unknown field."
        case _:
            return f"{field}: {reason} (is {_short(problem['input'])})."


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def find(name: str) -> Recipe:
    """A recipe by name (the user's folder first, then the built-in ones) or by the path of its file.

    Raises:
        RecipeError: there is none of that name, or it has problems.
    """
    if name.endswith(".toml") or "/" in name:
        return load(Path(name))
    files = recipe_files()
    if name not in files:
        known = ", ".join(sorted(files))
        raise RecipeError(name, [f"no such recipe; there are {known}, or give the path of a .toml file."])
    return load(files[name])


def recipe_files() -> dict[str, Path]:
    """The files of all recipes by name; the user's folder hides built-in ones of the same name."""
    folders = [BUILT_IN] + ([settings().recipes_folder] if settings().recipes_folder else [])
    return {path.stem: path for folder in folders if folder for path in sorted(folder.glob("*.toml"))}
