"""The fleet's limits on each model: declared by models.toml, changed live by people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.models import Limits, Model
from config.settings import settings
from ledger import keys
from ledger.connection import Redis

_FIELDS = {"requests_per_minute": "rpm", "tokens_per_minute": "tpm", "concurrent_requests": "concurrent"}


def declare(redis: Redis, model: Model) -> None:
    """Tells the ledger a model's limits as its file declares them.

    Limits that a person has set live stay, until the file declares others than it did before.
    """
    limits = model.limits
    cap = settings().max_concurrent
    if cap is not None:
        limits = limits.model_copy(update={"concurrent_requests": min(cap, limits.concurrent_requests or cap)})
    declared = limits.model_dump_json()
    name = keys.model(model.name)
    redis.hset(name, "counting", model.token_counting)
    before = redis.hget(name, "declared")
    if before is None or before.decode() != declared:
        redis.hset(name, "declared", declared)
        change(redis, model.name, limits.model_dump())


def change(redis: Redis, model: str, limits: dict[str, Any]) -> None:
    """Sets the limits named in `limits` (fields of `config.models.Limits`); None takes a limit away."""
    with redis.pipeline() as pipe:
        for name, value in limits.items():
            if value is None:
                pipe.hdel(keys.model(model), _FIELDS[name])
            else:
                pipe.hset(keys.model(model), _FIELDS[name], str(value))
        # A changed limit is a new truth: what was learned of the old one by 429s is void.
        pipe.hset(keys.model(model), "factor", "1")
        pipe.execute()


def read(redis: Redis, model: str) -> Limits:
    """The limits in force."""
    values = redis.hmget(keys.model(model), list(_FIELDS.values()))
    rpm, tpm, concurrent = (float(value) if value is not None else None for value in values)
    return Limits(
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        concurrent_requests=None if concurrent is None else int(concurrent),
    )


@dataclass(frozen=True)
class Use:
    """How a model is used at this moment: calls in flight, 429s so far, the share of the limit that is used."""

    in_flight: int
    refused: int
    factor: float


def use(redis: Redis, model: str) -> Use:
    """How the model is used at this moment."""
    in_flight, refused, factor = redis.hmget(keys.model(model), ["in_flight", "refused", "factor"])
    return Use(int(in_flight or 0), int(refused or 0), float(factor or 1))
