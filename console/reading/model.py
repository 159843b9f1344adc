"""A model's limits and their use at this moment, as the ledger's script would see them if it were asked now."""

from __future__ import annotations

from ledger import history, keys, limits
from ledger.connection import Redis, clock
from ledger.damaged import amount
from ledger.history import ModelReading

#: Of admit.lua: slots in a second of a model's window, how many of them a minute is, and beyond how many none counts.
_SLOTS, _KEPT, _FORGOTTEN = 10, 608, 2000
_WAITS = ("requests", "tokens", "concurrent", "pause", "budget")


def model_now(redis: Redis, model: str) -> ModelReading:
    """The model as it is now.

    The ledger takes what has left the last minute off its sums when a call asks for admission. Where none has asked
    for a while, it is taken off here, of what is shown.
    """
    use, declared, now = limits.use(redis, model), limits.read(redis, model), clock(redis)
    tail, *waited = redis.hmget(keys.model(model), ["tail", *(f"waited_{what}" for what in _WAITS)])
    requests, tokens = _gone(redis, model, amount(tail), int(now * _SLOTS) - _KEPT)
    rpm = lower(declared.requests_per_minute, use.told.requests_per_minute)
    tpm = lower(declared.tokens_per_minute, use.told.tokens_per_minute)
    return ModelReading(
        at=now,
        requests=max(0, use.requests - requests) if requests is not None else 0,
        tokens=max(0, use.tokens - tokens) if tokens is not None else 0,
        in_flight=use.in_flight,
        share=use.share,
        refused=use.refused,
        rpm=rpm if rpm or tpm else use.guessed,
        tpm=tpm,
        concurrent=declared.concurrent_requests,
        waited={what: int(amount(ms) or 0) for what, ms in zip(_WAITS, waited, strict=True) if ms},
    )


def _gone(redis: Redis, model: str, tail: float | None, oldest: int) -> tuple[int | None, int | None]:
    """Requests and tokens that have left the minute since its sums were last made; None where all of them have."""
    if tail is None or tail >= oldest:
        return 0, 0
    if oldest - tail > _FORGOTTEN:
        return None, None
    slots = range(int(tail), oldest)
    gone = redis.hmget(keys.window(model), [f"{kind}{slot}" for kind in "rt" for slot in slots])
    figures = [int(amount(one) or 0) for one in gone]
    return sum(figures[: len(slots)]), sum(figures[len(slots) :])


def lower(one: float | None, other: float | None) -> float | None:
    """The lower of two limits, of which either may be none."""
    return min((limit for limit in (one, other) if limit is not None), default=None)


def last_minutes(redis: Redis, model: str, minutes: float = 2.0) -> list[ModelReading]:
    """The model's readings of the last minutes as the ledger keeps them, and the model as it is now."""
    now = model_now(redis, model)
    return [*history.of_model(redis, model, now.at - 60 * minutes), now]
