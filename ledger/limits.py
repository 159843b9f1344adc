"""The fleet's limits on each model: declared by models.toml, told by providers, changed live by people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.models import Limits, Model
from config.settings import settings
from ledger import keys
from ledger.connection import Redis
from ledger.damaged import amount

_FIELDS = {"requests_per_minute": "rpm", "tokens_per_minute": "tpm", "concurrent_requests": "concurrent"}

# What was learned of the old limits by refusals is void under new ones, and the minute is counted anew: a lower limit
# holds for the calls that it was in force for.
_LEARNED = (
    *("cut", "factor", "share", "since", "refused_since", "idle", "through", "wall", "top", "guess_rpm"),
    *("strays", "stray_calls", "stray_refused", "immune", "immunity", "chance", "loose"),
)
_MINUTE = ("minute_requests", "minute_tokens", "tail")


def declared(model: Model) -> Limits:
    """A model's limits as its file and this machine's environment declare them."""
    cap = settings().max_concurrent
    if cap is None:
        return model.limits
    return model.limits.model_copy(update={"concurrent_requests": min(cap, model.limits.concurrent_requests or cap)})


def declare(redis: Redis, model: Model) -> None:
    """Tells the ledger a model's limits as they are declared here.

    Limits that a person has set live stay, until others are declared than were before.
    """
    name, limits = keys.model(model.name), declared(model)
    redis.hset(name, "counting", model.token_counting)
    if not _known(redis, model.name, limits):
        redis.hset(name, "declared", limits.model_dump_json())
        change(redis, model.name, limits.model_dump())


def _known(redis: Redis, model: str, limits: Limits) -> bool:
    """Whether these are the limits that were declared last."""
    return bool(redis.hget(keys.model(model), "declared") == limits.model_dump_json().encode())


def change(redis: Redis, model: str, limits: dict[str, Any]) -> None:
    """Sets the limits named in `limits` (fields of `config.models.Limits`); None takes a limit away."""
    before = read(redis, model).model_dump()
    if all(before[name] == value for name, value in limits.items()):
        return
    with redis.pipeline(transaction=True) as pipe:
        for name, value in limits.items():
            if value is None:
                pipe.hdel(keys.model(model), _FIELDS[name])
            else:
                pipe.hset(keys.model(model), _FIELDS[name], str(value))
        pipe.hdel(keys.model(model), *_LEARNED, *_MINUTE)
        pipe.delete(keys.window(model))
        pipe.execute()


def after_declaring(redis: Redis, model: Model) -> Limits:
    """The limits that will be in force once they are declared here, which changes nothing yet."""
    limits = declared(model)
    return read(redis, model.name) if _known(redis, model.name, limits) else limits


def read(redis: Redis, model: str) -> Limits:
    """The limits in force."""
    values = redis.hmget(keys.model(model), list(_FIELDS.values()))
    rpm, tpm, concurrent = map(amount, values)  # what is no limit there binds nothing in admit.lua either
    return Limits(
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        concurrent_requests=None if concurrent is None else int(concurrent),
    )


@dataclass(frozen=True)
class Use:
    """How a model is used at this moment.

    Attributes:
        in_flight: calls.
        refused: 429s so far.
        share: of the limit that refusals have left in use; of `guessed` where no limit is known.
        requests, tokens: admitted in the last minute, as far as calls have asked since.
        told: the limits that the provider named with its answers.
        guessed: requests per minute, learned from refusals where nobody has named a limit.
    """

    in_flight: int
    refused: int
    share: float
    requests: int
    tokens: int
    told: Limits
    guessed: float | None


def use(redis: Redis, model: str) -> Use:
    """How the model is used at this moment."""
    names = ("in_flight", "refused", "share", "minute_requests", "minute_tokens", "told_rpm", "told_tpm", "guess_rpm")
    in_flight, refused, share, requests, tokens, rpm, tpm, guess = redis.hmget(keys.model(model), names)
    told = Limits(
        requests_per_minute=amount(rpm),
        tokens_per_minute=amount(tpm),
    )
    return Use(
        int(amount(in_flight) or 0),
        int(amount(refused) or 0),
        amount(share) or 1.0,
        int(amount(requests) or 0),
        int(amount(tokens) or 0),
        told,
        amount(guess),
    )
