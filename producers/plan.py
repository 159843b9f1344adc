"""A job as it was asked for: checked whole before anything is enqueued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from config import folders
from config.errors import RecipeError, UserError
from config.models import Model, model
from config.money import highest
from config.recipe import Recipe
from config.recipe_check import columns, recipe_problems
from config.recipe_files import find
from config.settings import missing_key, settings
from ledger.jobs import Spec
from ledger.todo import Item
from producers.expand import OpenRows, Share, Variables, draw_axes, expand, prompt_size, shares
from producers.rows import Rows, RowsError, check, read, write_rejects

_RENDERED_AHEAD = 200
_BYTES_PER_TOKEN = 3.5  # of Italian or English text; only to refuse what cannot fit


class SubmitError(UserError):
    """The job cannot be submitted as asked."""


@dataclass(frozen=True)
class Plan:
    """A job that has passed every check and is not enqueued yet."""

    id: str
    spec: Spec
    parts: list[Share]
    rows: OpenRows | None
    model: Model
    candidates: list[Model]
    bad_rows: int

    @property
    def units(self) -> int:
        """How many tasks the job has."""
        return sum(part.calls for part in self.parts)

    @property
    def worst_nano_usd(self) -> tuple[int, int]:
        """The most that a prompt token and a completion token can cost, whichever model answers."""
        return highest(one.price.worst_nano_usd() for one in self.candidates)

    def items(self) -> Iterator[Item]:
        """Every task of the job, in order."""
        return expand(self.parts, self.spec.seed, self.rows)


def plan(
    recipe: str,
    *,
    count: int | None = None,
    rows: str | Path | None = None,
    model_id: str | None = None,
    seed: int = 0,
    skip_bad_rows: Path | None = None,
) -> Plan:
    """Checks a job whole: recipe, rows, model, key and sampling. Nothing is enqueued.

    Args:
        recipe: a name, a file's path, or several separated by commas, which share the job evenly.
        count: examples in all; by default one per row.
        rows: JSONL, CSV or Parquet; "-" is standard input.
        skip_bad_rows: where rows that cannot be used are written; without it, one such row refuses the job.

    Raises:
        UserError: RecipeError, RowsError, ModelsError or SubmitError, with every problem in it.
    """
    recipes = tuple(_with_overrides(find(name.strip()), model_id) for name in recipe.split(",") if name.strip())
    if not recipes:
        raise SubmitError("recipe: none is named; `genfleet recipes` lists them.")
    if count is not None and count < 1:
        raise SubmitError(f"count: {count} is no number of examples; give 1 or more.")
    names = {part.model for part in recipes}
    if len(names) > 1:
        raise SubmitError(f"a job has one model, these recipes have {', '.join(sorted(names))}; name one with --model.")
    candidates = [found for part in recipes for found in part.used_models()]
    for found in candidates:
        if found.provider.key() is None:
            raise SubmitError(missing_key(found.provider.api_key_env, f'model "{found.name}"'))
    for part in recipes:
        if problems := recipe_problems(part):
            raise RecipeError(part.name, problems)

    opened, good, bad = _checked_rows(recipes, rows, skip_bad_rows)
    if count is None:
        if opened is None:
            raise SubmitError(f"count: how many examples of {recipes[0].name}? Give --count N.")
        count = good * recipes[0].items_per_call
    parts = [part for part in shares(recipes, count) if part.examples]
    usable = None if opened is None else (lambda: (row.values for row in read(opened, _columns(recipes))))
    _render_some(parts, seed, usable)
    identity = {
        "recipes": [part.model_dump(mode="json", by_alias=True) for part in recipes],
        "count": count,
        "seed": seed,
        "rows": opened.sha256() if opened else None,
    }
    spec = Spec(recipes=tuple(part.recipe for part in parts), model=recipes[0].model, total=count, seed=seed)
    return Plan(job_id(recipes, identity), spec, parts, usable, model(recipes[0].model), candidates, bad)


def job_id(recipes: Sequence[Recipe], identity: dict[str, Any], kind: str = "") -> str:
    """The id of a job of these recipes: the same for the same `identity`, which says all that its examples hang on."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:10]
    return f"{recipes[0].name if len(recipes) == 1 else 'mix'}{kind}-{digest}"


def _with_overrides(recipe: Recipe, model_id: str | None) -> Recipe:
    """The recipe with the model asked for, and TEMPERATURE and MAX_TOKENS of the environment in place of its own."""
    asked = {"temperature": settings().temperature, "max_tokens": settings().max_tokens}
    sampling: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if "temperature" in sampling:
        sampling["schedule"] = ()
    update: dict[str, Any] = {"sampling": recipe.sampling.model_copy(update=sampling)} if sampling else {}
    if model_id is not None and model_id != recipe.model:
        update |= {"model": model(model_id).name, "fallbacks": ()}
    return recipe.model_copy(update=update) if update else recipe


def _columns(recipes: tuple[Recipe, ...]) -> set[str]:
    return set().union(*(columns(recipe) for recipe in recipes))


def _checked_rows(
    recipes: tuple[Recipe, ...], path: str | Path | None, rejects: Path | None
) -> tuple[Rows | None, int, int]:
    taking = [recipe.name for recipe in recipes if recipe.rows]
    if path is None:
        if taking:
            needed = ", ".join(sorted(_columns(recipes)))
            raise SubmitError(f'recipe "{taking[0]}" takes rows with {needed}; give them with --rows FILE.')
        return None, 0, 0
    if not taking:
        raise SubmitError(f'rows: recipe "{recipes[0].name}" takes none; leave --rows out.')
    rows = Rows.open(path, folders.spool())
    found = check(rows, _columns(recipes))
    if found.bad and rejects is None:
        raise RowsError.of(rows, found)
    if found.bad and rejects is not None:
        write_rejects(rows, _columns(recipes), rejects)
    if not found.good:
        raise SubmitError(f"{rows.name}: holds no row that can be used.")
    return rows, found.good, found.bad


def _render_some(parts: list[Share], seed: int, rows: OpenRows | None) -> None:
    """Renders prompts before anything is enqueued: those of every row, and the first of the axes.

    Raises:
        RecipeError: one cannot be rendered, or cannot fit the model's context window.
    """
    for part in parts:
        recipe, asked = part.recipe, model(part.recipe.model)
        measure, takes = prompt_size(recipe), rows is not None and bool(recipe.rows)
        given: Iterator[Variables] = rows() if takes and rows else iter({} for _ in range(_RENDERED_AHEAD))
        for k, row in enumerate(islice(given, None if takes else part.calls)):
            tokens = measure(row | draw_axes(recipe, seed, k), recipe.items_per_call) / _BYTES_PER_TOKEN
            if tokens + recipe.max_tokens_per_call > asked.context_window:
                where = f"row {k + 1}" if takes else f"example {k}"
                raise RecipeError(
                    recipe.name,
                    [
                        f"prompt: {where} makes about {tokens:.0f} tokens; with max_tokens "
                        f"({recipe.max_tokens_per_call}) that is more than {asked.name} takes ({asked.context_window})."
                    ],
                )
