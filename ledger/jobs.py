"""Jobs: what each is, which there are, and the state, weight and budget that people give them."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from config.errors import UserError
from config.fingerprint import fingerprint
from config.importing import output_class
from config.models import Model
from config.money import highest
from config.recipe import Recipe
from ledger import keys
from ledger.connection import Redis, clock
from ledger.damaged import Damaged, amount, job_name, reading
from ledger.scripts import script_text

State = Literal["running", "paused", "budget", "stopped", "cancelled", "complete"]
#: States in which nothing more happens by itself.
AT_REST: frozenset[str] = frozenset({"paused", "budget", "stopped", "cancelled", "complete"})

_MOST_SPEC = 16 * 2**20  # bytes
_MOST_CLASSES = 2**20  # bytes
_MOST_WEIGHT = 1e6


class JobNotFound(UserError):
    """No job of that id is in the ledger."""

    @classmethod
    def of(cls, job: str, what: str = "is not in the ledger") -> JobNotFound:
        """The error for a job that was asked for by `job`."""
        return cls(f'job "{job}" {what}; `genfleet status` lists the jobs.')


class Spec(BaseModel):
    """What a job is: everything that a worker needs besides the example's own variables."""

    model_config = ConfigDict(extra="forbid")

    recipes: tuple[Recipe, ...] = Field(min_length=1, max_length=1000)
    model: str
    total: int = Field(ge=1)
    seed: int

    @model_validator(mode="after")
    def _of_one_model(self) -> Self:
        # Limits are kept by the job's model: no recipe may call another one.
        if any(recipe.model != self.model for recipe in self.recipes):
            raise ValueError("recipes of another model")
        return self

    @property
    def recipe_name(self) -> str:
        """The recipe's name, or those of all the job's recipes."""
        return ",".join(recipe.name for recipe in self.recipes)


def create(redis: Redis, job: str, spec: Spec, model: Model, candidates: list[Model], units: int) -> bool:
    """Makes the job known; False where it was already.

    With it comes the name of this incarnation of the job: settle.lua tells by it what was admitted before the broker
    lost the job. A job that is known keeps its own.

    `candidates` are all models that may answer: money is reserved at the highest price among them.
    """
    fields = {
        "model": model.name,
        "recipe": spec.recipe_name,
        "total": spec.total,
        "units": units,
        "cursor": 0,
        "state": "running",
        "incarnation": uuid.uuid4().hex,
    }
    now, classes = clock(redis), _classes_text(spec)
    # In one step, and each only where it is missing: a producer may die here, and another make the same job.
    with redis.pipeline(transaction=True) as pipe:
        for name, value in fields.items():
            pipe.hsetnx(keys.job(job), name, value)
        # Prices and classes are those of the latest submission: they may have changed since the first.
        pipe.hset(keys.job(job), mapping=_prices(candidates))
        if classes:
            pipe.hset(keys.job(job), "classes", classes)
        pipe.set(keys.job(job, "spec"), spec.model_dump_json(by_alias=True), nx=True)
        pipe.zadd(keys.JOBS, {job: now}, nx=True)
        return bool(pipe.execute()[0])


def _classes_text(spec: Spec) -> str:
    """The spec's classes, and their versions as they are here, for workers to compare; nothing where it has none."""
    named = [(recipe.name, recipe.output) for recipe in spec.recipes if isinstance(recipe.output, str)]
    found = [OutputClass(recipe, path, fingerprint(output_class(path, recipe))) for recipe, path in named]
    return json.dumps(found) if found else ""


def _prices(candidates: list[Model]) -> dict[str, int]:
    """Nano-dollars per token, the highest among these models."""
    worst = highest(one.price.worst_nano_usd() for one in candidates)
    plain = highest(one.price.plain_nano_usd() for one in candidates)
    return {"price_in": worst[0], "price_out": worst[1], "plain_in": plain[0], "plain_out": plain[1]}


def spec(redis: Redis, job: str) -> Spec:
    """What the job is. Raises JobNotFound and Damaged."""
    with reading(f'what job "{job}" is'):
        text = redis.get(keys.job(job, "spec"))
    if text is None:
        raise JobNotFound.of(job)
    return spec_of(job, text)


def spec_of(job: str, text: bytes) -> Spec:
    """What the job is, from how it stands in the ledger. Raises Damaged."""
    with reading(f'what job "{job}" is'):
        if len(text) > _MOST_SPEC:
            raise ValueError
        return Spec.model_validate_json(text)


def ids(redis: Redis) -> list[str]:
    """Every job, the newest first."""
    return [job for raw in redis.zrevrange(keys.JOBS, 0, -1) if (job := job_name(raw)) is not None]


class OutputClass(NamedTuple):
    """The class of a recipe's output as its producer had it: `module:Class`, and what tells its version."""

    recipe: str
    path: str
    fingerprint: str


@dataclass(frozen=True)
class Running:
    """What a worker must know of a job to take its tasks: the model, the share of it that is the job's, and classes."""

    model: str
    weight: float
    classes: tuple[OutputClass, ...] = ()


def running(redis: Redis) -> dict[str, Running]:
    """The jobs that run; not those whose record cannot be read, which must not keep the others waiting."""
    names = ids(redis)
    with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hmget(keys.job(name), "state", "model", "weight", "classes")
        found = zip(names, pipe.execute(raise_on_error=False), strict=True)
    jobs = {}
    for name, fields in found:
        if isinstance(fields, list) and fields[0] == b"running" and fields[1]:
            weight = amount(fields[2]) if fields[2] is not None else 1.0
            if weight is not None and weight <= _MOST_WEIGHT:
                with suppress(Damaged):
                    jobs[name] = Running(fields[1].decode("utf-8", "replace"), weight, _classes(name, fields[3]))
    return jobs


def _classes(job: str, text: bytes | None) -> tuple[OutputClass, ...]:
    with reading(f'the classes of job "{job}"'):
        if len(text or b"") > _MOST_CLASSES:
            raise ValueError
        found = json.loads(text or b"[]")
        return tuple(OutputClass(str(recipe), str(path), str(mark)) for recipe, path, mark in found)


def find(redis: Redis, job: str | None) -> str:
    """The job of that id or of that unmistakable beginning; without one, the newest. Raises JobNotFound."""
    known = ids(redis)
    if job is None:
        if not known:
            raise JobNotFound("there is no job yet; `genfleet submit RECIPE --count N` makes one.")
        return known[0]
    matches = [name for name in known if name == job] or [name for name in known if name.startswith(job)]
    if len(matches) != 1:
        what = "is not in the ledger" if not matches else f"could be any of {', '.join(matches[:5])}"
        raise JobNotFound.of(job, what)
    return matches[0]


def state(redis: Redis, job: str) -> State:
    """The job's state. Raises Damaged."""
    with reading(f'the state of job "{job}"'):
        value = redis.hget(keys.job(job), "state")
        found: State = value.decode() if value else "cancelled"
    return found


def set_state(redis: Redis, job: str, state: State, note: str | None = None) -> None:
    """Gives the job a state; complete jobs keep theirs, and one whose every task is settled is complete."""
    script = redis.register_script(script_text("set_state"))
    script(keys=[keys.job(job), keys.job(job, "todo")], args=[state, note or ""])


def set_weight(redis: Redis, job: str, weight: float) -> None:
    """Sets the job's share of a model that several jobs want: twice the weight is twice the calls. Raises Damaged."""
    with reading(f'the model of job "{job}"'):
        model = redis.hget(keys.job(job), "model").decode()
    script = redis.register_script(script_text("set_weight"))
    script(keys=[keys.job(job), keys.model(model), keys.waiting(model)], args=[job, str(weight)])


def set_budget(redis: Redis, job: str, nano_usd: int | None) -> None:
    """Sets the most that the job may spend, in nano-dollars; None is no bound."""
    if nano_usd is None:
        redis.hdel(keys.job(job), "budget")
    else:
        redis.hset(keys.job(job), "budget", nano_usd)
