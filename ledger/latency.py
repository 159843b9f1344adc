"""How long a model's answered calls took, as settle.lua counts them (see means.lua)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ledger import keys
from ledger.connection import Redis
from ledger.damaged import amount

UP_TO = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, math.inf)
"""The upper ends of the steps, in seconds."""


@dataclass(frozen=True)
class Latencies:
    """Since the ledger has known the model: calls in each step of `UP_TO`, and the seconds of all of them."""

    calls: tuple[int, ...]
    seconds: float


def read(redis: Redis, models: list[str]) -> dict[str, Latencies]:
    """Those of each model, in one round trip; what is no count there is none."""
    fields = [*(f"le{step:g}" for step in UP_TO), "ms"]
    with redis.pipeline(transaction=False) as pipe:
        for model in models:
            pipe.hmget(keys.learned(model), fields)
        replies = pipe.execute(raise_on_error=False)
    found = {}
    for model, reply in zip(models, replies, strict=True):
        *calls, ms = (amount(value) or 0.0 for value in reply) if isinstance(reply, list) else [0.0] * len(fields)
        found[model] = Latencies(tuple(int(count) for count in calls), ms / 1000)
    return found
