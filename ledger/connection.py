"""Connections to the broker for what is not admission or settlement."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import redis

from config.errors import UserError

#: redis-py types every reply as all that any server could answer; the ledger states its own types instead.
Redis = Any


class BrokerAway(UserError):
    """The broker at REDIS_URL does not answer."""


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


def shown(url: str) -> str:
    """The URL as it may be shown: without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or 6379}{parts.path}"
