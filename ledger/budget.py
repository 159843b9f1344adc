"""The fleet's budget: what all jobs together may spend in a day, by the server's clock in UTC."""

from __future__ import annotations

from dataclasses import dataclass

from config.money import to_nano_usd
from config.settings import settings
from ledger import keys
from ledger.connection import Redis
from ledger.damaged import reading

_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Books:
    """The fleet's money of today, in nano-dollars; `per_day` is None where nothing bounds it."""

    per_day: int | None
    spent: int
    reserved: int
    unknown: int


def declare(redis: Redis) -> None:
    """Tells the ledger the budget of this machine's environment.

    One that a person has set live stays, until the environment names another than before.
    """
    asked = settings().budget_usd
    if asked is None:
        return
    if redis.hget(keys.BUDGET, "declared") != str(asked).encode():
        redis.hset(keys.BUDGET, "declared", str(asked))
        change(redis, to_nano_usd(asked))


def change(redis: Redis, nano_usd: int | None) -> None:
    """Sets the most that the fleet may spend in a day; None is no bound."""
    if nano_usd is None:
        redis.hdel(keys.BUDGET, "per_day")
    else:
        redis.hset(keys.BUDGET, "per_day", nano_usd)


def read(redis: Redis) -> Books:
    """The books of today."""
    per_day, day, spent, reserved, unknown = redis.hmget(
        keys.BUDGET, ["per_day", "day", "spent", "reserved", "unknown"]
    )
    with reading("the fleet's budget"):
        today = redis.time()[0] // _SECONDS_A_DAY == int(day or 0)
        return Books(
            None if per_day is None else int(per_day),
            int(spent or 0) if today else 0,
            int(reserved or 0),
            int(unknown or 0) if today else 0,
        )
