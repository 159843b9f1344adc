"""A pilot: a few real calls of a job's recipes, in a job of their own, so that the rest can be estimated."""

from __future__ import annotations

from dataclasses import replace

from config.recipe import Recipe
from ledger.learned import Figures, asked
from producers.expand import Share
from producers.plan import Plan, job_id
from producers.prompt_sizes import spread

CALLS = 20
"""Calls of each recipe."""


def needed(planned: Plan, figures: dict[str, Figures]) -> list[Recipe]:
    """The job's recipes of which too little is known: fewer than 20 calls, or calls from before they were changed."""
    recipes = {part.recipe.name: part.recipe for part in planned.parts}
    return [
        recipe
        for name, recipe in recipes.items()
        if name not in figures or figures[name].calls < CALLS or figures[name].changed
    ]


def pilot(planned: Plan, recipes: list[Recipe]) -> tuple[Plan, int]:
    """A job of 20 calls of each of `recipes`, and the most that it can cost in nano-dollars, one answer a call.

    Its rows are 20 of the job's, evenly over those that it would use; its axes are drawn as the job draws those of its
    first calls, which are as mixed as any others. The same pilot has the same id.

    Raises:
        RowsError: the rows can no longer be read.
    """
    parts = [
        Share(recipe, min(CALLS * recipe.items_per_call, part.examples))
        for recipe in recipes
        for part in [next(part for part in planned.parts if part.recipe is recipe)]
    ]
    rows = None
    identity = {"recipes": [asked(recipe) for recipe in recipes], "seed": planned.spec.seed}
    taking = [part.calls for part in planned.parts if part.recipe in recipes and part.recipe.rows]
    if planned.rows is not None and taking:
        picked = [row for _, row in spread(planned.rows(), max(taking), CALLS).picked]
        rows, identity["rows"] = (lambda: iter(picked)), picked
    total = sum(part.examples for part in parts)
    spec = planned.spec.model_copy(update={"recipes": tuple(part.recipe for part in parts), "total": total})
    made = replace(planned, id=job_id(recipes, identity, "-pilot"), spec=spec, parts=parts, rows=rows, bad_rows=0)
    most_in, most_out = planned.worst_nano_usd
    worst = sum(
        item.prompt_bytes * most_in + parts[item.recipe].recipe.max_tokens_per_call * most_out for item in made.items()
    )
    return made, worst
