"""Connections to the broker for what is not admission or settlement."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import redis

from config.errors import UserError
from config.settings import missing_broker, settings

#: redis-py types every reply as all that any server could answer; the ledger states its own types instead.
Redis = Any


class BrokerAway(UserError):
    """There is no broker that answers."""


def connect(url: str) -> Redis:
    """A client whose server has answered.

    Raises:
        BrokerAway: it does not answer; the message holds the address without its password.
    """
    client = redis.Redis.from_url(url, socket_timeout=30, socket_connect_timeout=5, socket_keepalive=True)
    try:
        client.ping()
    except redis.AuthenticationError:
        raise BrokerAway(f"the broker at {shown(url)} refuses the password in REDIS_URL.") from None
    except redis.RedisError as error:
        raise BrokerAway(
            f"the broker at {shown(url)} (REDIS_URL) does not answer ({type(error).__name__}); is it running?"
        ) from None
    return client


def fleet_broker(what: str, url: str | None = None) -> Redis:
    """A connection to the broker at `url` or REDIS_URL; `what` needs it.

    Raises:
        BrokerAway: neither is given, or it does not answer.
    """
    url = url or settings().redis_url
    if url is None:
        raise BrokerAway(missing_broker(what))
    return connect(url)


def clock(redis: Redis) -> float:
    """The server's time, the only one that the fleet goes by; seconds since 1970."""
    seconds, microseconds = redis.time()
    return float(seconds + microseconds / 1e6)


def shown(url: str) -> str:
    """The URL as it may be shown: without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or 6379}{parts.path}"
