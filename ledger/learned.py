"""What calls of a recipe to a model have used, cost and taken so far: what an estimate of more of them rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from config.recipe import Recipe
from ledger import keys
from ledger.connection import Redis
from ledger.damaged import reading
from ledger.jobs import AT_REST, Spec

#: Of means.lua: the weight of a new call in a running mean, once so many have been seen that it would be less.
_SLOWEST = 0.02
#: The newest jobs that are looked at, how many of them are read whole, and the tasks after which the rest is left.
_JOBS, _SPECS, _TASKS = 100, 10, 2_000
#: Tasks of the recipe as it is, from which on they are taken before the running means.
ENOUGH = 20
#: Answers that were paid for and bought again, by their reasons.
_BOUGHT_AGAIN = ("again:invalid", "again:length", "again:cut_short")


@dataclass(frozen=True)
class Figures:
    """What a recipe's calls to a model came to. "A task" is one call that settles, with all that was paid before.

    Attributes:
        calls: answered calls that the figures rest on.
        weight: how many calls of equal weight would say as much about a mean.
        ratio: prompt tokens per byte of prompt.
        prompt: prompt tokens a task; None where only the running means are known.
        completion: completion tokens a task.
        cost: nano-dollars a task.
        spread: standard deviation of a call's cost, over its mean.
        bought, attempts: answers paid for, and requests made, for a task.
        latency: seconds of an answered call.
        p99: completion tokens that 99 of 100 calls need; None until it was learned.
        drifts: the newest calls count more, and at the end of a job those are its longest.
        changed: they are of the recipe as it was before it was changed.
    """

    calls: int
    weight: float
    ratio: float
    prompt: float | None
    completion: float
    cost: float
    spread: float
    bought: float = 1.0
    attempts: float = 1.0
    latency: float = 0.0
    p99: int | None = None
    drifts: bool = False
    changed: bool = False


@dataclass(frozen=True)
class _Job:
    """What a job came to so far; `same` where its recipe is the one asked about, `alone` where it has no other."""

    same: bool
    alone: bool
    tasks: int
    attempts: int
    again: int
    prompt: int
    completion: int
    spent: int


def read(redis: Redis, recipes: list[Recipe]) -> dict[str, Figures]:
    """The figures of each recipe with its model, by name; those of which no call was answered yet are left out.

    Totals of whole jobs of the recipe as it is come first: their mean weighs every call the same. Where there are
    none, such as for recipes that were only made in mixes, the running means that settle.lua keeps have to do.
    """
    found = {}
    for recipe in recipes:
        with reading(f"what is known of {recipe.name}"):
            raw = redis.hgetall(keys.learned(recipe.model, recipe.name))
            means = from_means({name.decode(): float(value) for name, value in raw.items()})
            if means is not None:
                found[recipe.name] = _with_jobs(means, list(_jobs(redis, recipe)))
    return found


def weight_of(calls: int) -> float:
    """How many calls of equal weight say as much as a running mean over `calls`: 1 over the sum of squared weights.

    The first 50 weigh the same. From then on each old weight is multiplied by 1 - w and a new one of w = 0.02 added,
    so that the sum of squares s becomes (1 - w)²s + w², which comes to rest at w / (2 - w): 99 calls.
    """
    equal = round(1 / _SLOWEST)
    if calls <= equal:
        return float(calls)
    rest = _SLOWEST / (2 - _SLOWEST)
    return 1 / (rest + (_SLOWEST - rest) * (1 - _SLOWEST) ** (2 * (calls - equal)))


def from_means(fields: dict[str, float]) -> Figures | None:
    """What the running means that settle.lua keeps (see means.lua) say alone; None before the first call."""
    calls = int(fields.get("n", 0))
    if not calls:
        return None
    weight, cost = weight_of(calls), fields["cost"]
    # Weights that sum to one see a little less than the variance there is.
    variance = max(0.0, fields["cost2"] - cost**2) * (weight / (weight - 1) if weight > 1 else 1)
    return Figures(
        calls=calls,
        weight=weight,
        ratio=fields["ratio"],
        prompt=None,
        completion=fields["completion"],
        cost=cost,
        spread=math.sqrt(variance) / cost if cost else 0.0,
        latency=fields["latency"],
        p99=int(fields["p99"]) if "p99" in fields else None,
        drifts=calls > round(1 / _SLOWEST),
    )


def _with_jobs(means: Figures, jobs: list[_Job]) -> Figures:
    whole = [job for job in jobs if job.same and job.alone and job.tasks]
    tasks = sum(job.tasks for job in whole)
    changed = any(not job.same for job in jobs)
    if not tasks or (tasks < min(ENOUGH, means.weight) and not changed):
        return replace(means, changed=changed and not any(job.same for job in jobs))
    bought = 1 + sum(job.again for job in whole) / tasks
    return replace(
        means,
        calls=round(tasks * bought),
        weight=tasks,
        prompt=sum(job.prompt for job in whole) / tasks,
        completion=sum(job.completion for job in whole) / tasks,
        cost=sum(job.spent for job in whole) / tasks,
        bought=bought,
        attempts=max(bought, sum(job.attempts for job in whole) / tasks),
        drifts=False,
    )


def _jobs(redis: Redis, recipe: Recipe) -> Iterator[_Job]:
    """The newest jobs with a recipe of that name and model, until they say enough."""
    names = [name.decode() for name in redis.zrevrange(keys.JOBS, 0, _JOBS - 1)]
    fields = ("model", "recipe", "state", "cursor", "attempts", "prompt_tokens", "completion_tokens", "spent")
    with redis.pipeline() as pipe:
        for name in names:
            pipe.hmget(keys.job(name), fields)
        facts = [dict(zip(fields, values, strict=True)) for values in pipe.execute()]
    tasks = looked = 0
    for name, fact in zip(names, facts, strict=True):
        if looked == _SPECS or tasks >= _TASKS:
            return
        if fact["model"] != recipe.model.encode() or recipe.name not in (fact["recipe"] or b"").decode().split(","):
            continue
        looked += 1
        if (job := _job(redis, name, fact, recipe)) is not None:
            tasks += job.tasks if job.same and job.alone else 0
            yield job


def _job(redis: Redis, name: str, fact: dict[str, Any], recipe: Recipe) -> _Job | None:
    with redis.pipeline() as pipe:
        pipe.get(keys.job(name, "spec"))
        pipe.hlen(keys.job(name, "todo"))
        pipe.hmget(keys.job(name, "reasons"), _BOUGHT_AGAIN)
        text, todo, again = pipe.execute()
    # The first calls of a job that runs to be settled are its shortest, so its totals would say too little.
    settled = int(fact["cursor"] or 0) - todo if (fact["state"] or b"").decode() in AT_REST else 0
    if text is None or not int(fact["attempts"] or 0):
        return None
    try:
        recipes = Spec.model_validate_json(text).recipes
    except ValueError:
        # Of a version of genfleet whose recipes were others.
        return None
    completion = int(fact["completion_tokens"] or 0)
    return _Job(
        same=any(asked(one) == asked(recipe) for one in recipes),
        alone=len(recipes) == 1,
        tasks=settled if completion else 0,
        attempts=int(fact["attempts"] or 0),
        again=sum(int(count or 0) for count in again),
        prompt=int(fact["prompt_tokens"] or 0),
        completion=completion,
        spent=int(fact["spent"] or 0),
    )


def asked(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe its calls' cost may hang on."""
    return recipe.model_dump(mode="json", by_alias=True, exclude={"description", "chat"})
