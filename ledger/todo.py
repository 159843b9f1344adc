"""A job's list: how its tasks come onto it, which are still on it, and how rejected ones come back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import NoPermissionError

from config.errors import UserError
from config.recipe import Recipe
from ledger import keys
from ledger.connection import Redis
from ledger.damaged import reading, whole
from ledger.jobs import Spec
from ledger.scripts import script_text

_MOST = 64 * 2**20  # bytes: a row of 16 MiB in the longest way to write it
_TODO = re.compile(r"\d{1,12} \d{1,12} ([a-z0-9_]+) (.*)", re.DOTALL | re.ASCII)
_BATCH = 200


class BeingSubmitted(UserError):
    """Another producer is enqueuing the same job."""


class Item(BaseModel):
    """One task: `count` examples from `first` on, asked for in one call of the job's recipe number `recipe`."""

    unit: int
    recipe: int
    first: int
    count: int
    fraction: float
    variables: dict[str, Any]
    prompt_bytes: int

    def to_todo(self, recipe: Recipe) -> str:
        """As admit.lua reads it."""
        facts = {"recipe": self.recipe, "first": self.first, "count": self.count, "variables": self.variables}
        if recipe.sampling.schedule:
            facts["fraction"] = round(self.fraction, 4)
        text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
        return f"{self.prompt_bytes} {recipe.max_tokens_per_call} {recipe.name} {text}"

    def name(self, spec: Spec) -> str:
        """What people call the task."""
        return shown_name(spec.recipes[self.recipe].name, self.first, self.count)


@dataclass(frozen=True)
class Rejected:
    """A rejected task that can be tried again."""

    unit: int
    reason: str
    todo: str


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    recipe: int = Field(ge=0)
    first: int = Field(ge=0)
    count: int = Field(ge=1, le=100)
    variables: dict[str, Any]
    fraction: float = Field(0.0, ge=0, le=1)


def facts_of(json_text: bytes | str) -> dict[str, Any] | None:
    """What a worker must know of a task, from its JSON on the list; None where that is none that a producer writes."""
    if len(json_text) > _MOST:
        return None
    try:
        return _Facts.model_validate_json(json_text).model_dump(exclude_unset=True)
    except ValueError:
        return None


def task_of(todo: str) -> dict[str, Any] | None:
    """What a worker must know of a task, from how it stands on the list, as `to_todo` writes it; None as above."""
    found = _TODO.fullmatch(todo)
    return facts_of(found[2]) if found is not None else None


def cursor(redis: Redis, job: str) -> int:
    """How many tasks of the job have been put on its list so far. Raises Damaged."""
    with reading(f'how far job "{job}" has been enqueued'):
        return int(redis.hget(keys.job(job), "cursor") or 0)


def register(
    redis: Redis,
    job: str,
    spec: Spec,
    items: list[Item],
    *,
    cursor: int | None = None,
    also: Callable[[Redis], None] = lambda pipe: None,
) -> None:
    """Puts tasks on the job's list and moves its cursor behind them, or to `cursor`, in one step.

    `also` is called with the transaction, for what belongs to the same step.
    """
    with redis.pipeline(transaction=True) as pipe:
        if todo := {str(item.unit): item.to_todo(spec.recipes[item.recipe]) for item in items}:
            pipe.hset(keys.job(job, "todo"), mapping=todo)
        pipe.hset(keys.job(job), "cursor", items[-1].unit + 1 if cursor is None else cursor)
        also(pipe)
        pipe.execute()


def hold(redis: Redis, job: str, producer: str, seconds: int = 30) -> None:
    """Keeps other producers from enqueuing the same job for the next seconds. Raises BeingSubmitted."""
    name = keys.job(job, "producer")
    if not redis.set(name, producer, nx=True, ex=seconds):
        if redis.get(name) != producer.encode():
            raise BeingSubmitted(f'job "{job}" is being enqueued by another producer; wait for it or stop it.')
        redis.expire(name, seconds)


def let_go(redis: Redis, job: str, producer: str) -> None:
    """Lets other producers enqueue the job."""
    name = keys.job(job, "producer")
    if redis.get(name) == producer.encode():
        redis.delete(name)


def unsettled(redis: Redis, job: str) -> Iterator[int]:
    """The tasks on the job's list that no worker has a lease on."""
    leased = {whole(unit) for unit in redis.hkeys(keys.job(job, "leases"))}
    for raw, _ in redis.hscan_iter(keys.job(job, "todo"), count=1000):
        if (unit := whole(raw)) is not None and unit not in leased:
            yield unit


def named(redis: Redis, job: str, units: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Each of these tasks with its name for people, as far as it is on the job's list."""
    waiting = iter(units)
    while batch := list(islice(waiting, _BATCH)):
        try:
            texts = redis.hmget(keys.job(job, "todo"), batch)
        except NoPermissionError:
            return  # the list holds rows, which are not for everyone who may see how far a job is
        yield from (
            (unit, name_of((text or b"").decode("utf-8", "replace"))) for unit, text in zip(batch, texts, strict=True)
        )


def name_of(todo: str) -> str:
    """What people call a task, from how it stands on the list; nothing where that cannot be read."""
    found, facts = _TODO.fullmatch(todo), task_of(todo)
    return "" if found is None or facts is None else shown_name(found[1], facts["first"], facts["count"])


def shown_name(recipe: str, first: int, count: int) -> str:
    """What people call a task: its recipe and the numbers of its examples, the first being 1."""
    return f"{recipe}, example {first + 1}" + (f" to {first + count}" if count > 1 else "")


def rejected(redis: Redis, job: str, reason: str | None = None) -> Iterator[Rejected]:
    """The rejected tasks of the job, or those rejected for `reason`."""
    for unit, value in redis.hscan_iter(keys.job(job, "rejected"), count=1000):
        why, _, todo = value.decode("utf-8", "surrogateescape").partition(" ")
        if (reason is None or why == reason) and (number := whole(unit)) is not None:
            yield Rejected(number, why, todo)


def reopen(redis: Redis, job: str, tasks: Iterable[Rejected]) -> list[int]:
    """Puts rejected tasks back on the job's list, which runs again, and says which.

    Not those that others put back, and not those whose record cannot be read.
    """
    found = [(task, task_of(task.todo)) for task in tasks]
    tasks = [task for task, facts in found if facts is not None]
    counts = [facts["count"] for _, facts in found if facts is not None]
    script = redis.register_script(script_text("reopen"))
    names = [keys.job(job), *(keys.job(job, part) for part in ("todo", "rejected", "reasons"))]
    with redis.pipeline(transaction=True) as pipe:
        for task, count in zip(tasks, counts, strict=True):
            script(keys=names, args=[task.unit, task.reason, task.todo, count], client=pipe)
        replies = pipe.execute()
    return [task.unit for task, back in zip(tasks, replies, strict=True) if back]
