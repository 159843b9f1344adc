"""What the ledger knows before a job is started: one reading, which changes nothing."""

from __future__ import annotations

from config.models import Limits, Model
from ledger import budget, jobs, keys, learned, limits, todo
from ledger.connection import Redis
from producers.estimate import Known
from producers.plan import Plan


def look(redis: Redis | None, planned: Plan, capacity: int | None = None) -> Known:
    """What is known of the job's recipes, limits and budget; without a ledger, what the models file says.

    Raises:
        redis.RedisError: the broker is away.
    """
    if redis is None:
        return Known(limits.declared(planned.model), capacity=capacity)
    running = jobs.running(redis)
    others = [job for job, one in running.items() if one.model == planned.model.name and job != planned.id]
    books = budget.read(redis)
    return Known(
        limits=_in_force(redis, planned.model),
        figures=learned.read(redis, [part.recipe for part in planned.parts]),
        left=_left(redis, planned),
        others=len(others),
        today=None if books.per_day is None else max(0, books.per_day - books.spent - books.unknown),
        capacity=capacity,
    )


def _in_force(redis: Redis, model: Model) -> Limits:
    """The limits that calls will meet: those set live, unless the file has others by now, and what providers told."""
    ours, use = limits.after_declaring(redis, model), limits.use(redis, model.name)
    requests = _lower(ours.requests_per_minute, use.told.requests_per_minute)
    tokens = _lower(ours.tokens_per_minute, use.told.tokens_per_minute)
    if requests is None and tokens is None and use.guessed is not None:
        requests = use.guessed * use.share
    return ours.model_copy(update={"requests_per_minute": requests, "tokens_per_minute": tokens})


def _lower(one: float | None, other: float | None) -> float | None:
    given = [limit for limit in (one, other) if limit is not None]
    return min(given, default=None)


def _left(redis: Redis, planned: Plan) -> int | None:
    if not redis.exists(keys.job(planned.id)):
        return None
    return planned.units - todo.cursor(redis, planned.id) + int(redis.hlen(keys.job(planned.id, "todo")))
