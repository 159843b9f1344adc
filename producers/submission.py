"""A job from a recipe to its queue: checked whole, then enqueued in pieces that survive any interruption."""

from __future__ import annotations

import hashlib
import json
import math
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from config.errors import RecipeError, UserError
from config.models import Model, model, to_nano_usd
from config.recipe import Recipe
from config.recipe_check import columns, recipe_problems
from config.recipe_files import find
from config.settings import missing_key, settings
from ledger import budget, jobs, limits
from ledger.connection import Redis, connect
from ledger.jobs import Item, Spec
from producers.expand import Share, Variables, draw_axes, expand, prompt_size, shares
from producers.rows import BadRow, Rows, RowsError, check, write_rejects
from workers.app import BATCH, announce, enqueue, job_queue

Progress = Callable[[int, int], None]
"""Called with the tasks enqueued so far and the tasks in all."""

PRIORITY_LEAST, PRIORITY_MOST = 0.01, 1000.0
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
    rows: Callable[[], Iterator[Variables]] | None
    model: Model
    candidates: list[Model]
    bad_rows: int

    @property
    def units(self) -> int:
        """How many tasks the job has."""
        return sum(part.calls for part in self.parts)

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
    read = None if opened is None else (lambda: _usable(opened, _columns(recipes)))
    _render_some(parts, seed, read)
    identity = {
        "recipes": [part.model_dump(mode="json", by_alias=True) for part in recipes],
        "count": count,
        "seed": seed,
        "rows": opened.sha256() if opened else None,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    name = recipes[0].name if len(recipes) == 1 else "mix"
    spec = Spec(recipes=tuple(part.recipe for part in parts), model=recipes[0].model, total=count, seed=seed)
    return Plan(f"{name}-{digest}", spec, parts, read, model(recipes[0].model), candidates, bad)


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
    rows = Rows.open(path, settings().data / "spool")
    found = check(rows, _columns(recipes))
    if found.bad and rejects is None:
        raise RowsError.of(rows, found)
    if found.bad and rejects is not None:
        write_rejects(rows, _columns(recipes), rejects)
    if not found.good:
        raise SubmitError(f"{rows.name}: holds no row that can be used.")
    return rows, found.good, found.bad


def _usable(rows: Rows, needed: set[str]) -> Iterator[Variables]:
    for row in rows.checked(needed):
        if not isinstance(row, BadRow):
            yield row.values


def _render_some(parts: list[Share], seed: int, rows: Callable[[], Iterator[Variables]] | None) -> None:
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


def start(redis: Redis, planned: Plan, budget_usd: float | str | None = None, priority: float | None = None) -> bool:
    """Makes the job known, or running again where it rests; False where it is complete already.

    Args:
        priority: the job's weight among those of its model: twice as much is twice the calls; None leaves it, at 1.

    Raises:
        SubmitError: the budget is no amount of money, or the priority no weight.
    """
    _check(budget_usd, priority)
    limits.declare(redis, planned.model)
    jobs.create(redis, planned.id, planned.spec, planned.model, planned.candidates, planned.units)
    adjust(redis, planned.id, budget_usd, priority)
    budget.declare(redis)
    announce()
    if jobs.state(redis, planned.id) == "complete":
        return False
    resume(redis, planned.id)
    return True


def adjust(redis: Redis, job: str, budget_usd: float | str | None = None, priority: float | None = None) -> None:
    """Gives the job another budget or priority, where one is given; as for `start`."""
    _check(budget_usd, priority)
    if budget_usd is not None:
        jobs.set_budget(redis, job, to_nano_usd(budget_usd))
    if priority is not None:
        jobs.set_weight(redis, job, priority)


def _check(budget_usd: float | str | None, priority: float | None) -> None:
    if budget_usd is not None and (not math.isfinite(float(budget_usd)) or float(budget_usd) <= 0):
        raise SubmitError(f"budget: {budget_usd} is no amount of dollars above 0.")
    if priority is not None and not PRIORITY_LEAST <= priority <= PRIORITY_MOST:
        raise SubmitError(f"priority: {priority:g} is not between {PRIORITY_LEAST:g} and {PRIORITY_MOST:g}.")


def resume(redis: Redis, job: str) -> int:
    """Sets a resting job running and enqueues what is on its list; says how many tasks."""
    if jobs.state(redis, job) in ("running", "complete"):
        # What a running job lost its messages of, a worker's janitor enqueues.
        return 0
    jobs.set_state(redis, job, "running")
    announce()
    return enqueue(jobs.spec(redis, job).model, ((job, unit) for unit in jobs.unsettled(redis, job)))


def feed(redis: Redis, planned: Plan, progress: Progress | None = None, stop: threading.Event | None = None) -> int:
    """Enqueues what of the job is not enqueued yet, and says how many tasks.

    Above GENFLEET_QUEUE_DEPTH waiting messages it waits for the workers, so that a million examples need no more
    memory than ten thousand. It may be stopped anywhere and begun again: the cursor is in the ledger. Another thread
    stops it by `stop`.

    Raises:
        BeingSubmitted: another producer is at it.
    """
    job, queue = planned.id, job_queue(planned.model.name, planned.id)
    me = f"{socket.gethostname()}-{os.getpid()}-{id(planned)}"
    jobs.hold(redis, job, me)
    sent, stop = 0, stop or threading.Event()
    try:
        items = islice(planned.items(), jobs.cursor(redis, job), None)
        while chunk := list(islice(items, min(BATCH, settings().queue_depth))):
            jobs.hold(redis, job, me)
            jobs.register(redis, job, planned.spec, chunk)
            sent += enqueue(planned.model.name, ((job, item.unit) for item in chunk))
            if progress is not None:
                progress(chunk[-1].unit + 1, planned.units)
            if settings().batch_delay_ms:
                stop.wait(settings().batch_delay_ms / 1000 * math.ceil(len(chunk) / 100))
            while redis.llen(queue) >= settings().queue_depth:
                jobs.hold(redis, job, me)
                if stop.wait(0.2) or jobs.state(redis, job) != "running":
                    return sent
            if stop.is_set() or jobs.state(redis, job) != "running":
                return sent
    finally:
        jobs.let_go(redis, job, me)
    return sent


def broker(url: str | None = None, what: str = "enqueuing for a fleet") -> Redis:
    """A connection to the broker at `url` or REDIS_URL; `what` needs it.

    Raises:
        SubmitError: neither is given.
        BrokerAway: it does not answer.
    """
    url = url or settings().redis_url
    if url is None:
        raise SubmitError(f"{what} needs REDIS_URL: set it in the environment or in .env, as redis://HOST:6379/0.")
    return connect(url)
