"""Connections to the broker for what is not admission or settlement."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.exceptions import NoPermissionError

from config.errors import UserError
from config.settings import missing_broker, settings
from ledger.format import agree

#: redis-py types every reply as all that any server could answer; the ledger states its own types instead.
Redis = Any

_IN_A_SCRIPT = ("ACL failure", "user executing the script can't")


#: How long a server may take to answer, and to be reached. A link that was cut is given up so early that work goes on
#: within seconds of its return; what is asked twice for that changes nothing twice.
SOCKET_SECONDS = 10
CONNECT_SECONDS = 5
_WAIT_SECONDS = 2.0


class BrokerAway(UserError):
    """There is no broker that answers."""


class BrokerRefuses(BrokerAway):
    """It is there, and not for us: waiting does not mend that."""


def connect(url: str) -> Redis:
    """A client whose server has answered, and keeps its ledger as this version does.

    Raises:
        BrokerAway: it does not answer; the message holds the address without its password.
        OtherFormat: its ledger is of another version of genfleet.
    """
    client = redis.Redis.from_url(
        url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=CONNECT_SECONDS, socket_keepalive=True
    )
    try:
        client.ping()
        agree(client, shown(url))
    except redis.AuthenticationError:
        raise BrokerRefuses(f"the broker at {shown(url)} refuses the user or the password in REDIS_URL.") from None
    except redis.RedisError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise BrokerRefuses(
                f"the broker at {shown(url)} shows a certificate that cannot be trusted; where it is from an authority "
                "of your own, end REDIS_URL with ?ssl_ca_certs=FILE."
            ) from None
        raise BrokerAway(
            f"the broker at {shown(url)} (REDIS_URL) does not answer ({type(error).__name__}); is it running?"
        ) from None
    return client


def wait_for(url: str, say: Callable[[str], None]) -> Redis:
    """As `connect`, but a broker that does not answer yet is waited for; `say` is told so, once.

    Raises:
        BrokerRefuses: it is there, and not for us.
        OtherFormat: its ledger is of another version of genfleet.
    """
    said = False
    while True:
        try:
            return connect(url)
        except BrokerRefuses:
            raise
        except BrokerAway as away:
            if not said:
                say(f"{away} Waiting for it.")
            said = True
        time.sleep(_WAIT_SECONDS)


def fleet_broker(what: str, url: str | None = None, waiting: Callable[[str], None] | None = None) -> Redis:
    """A connection to the broker at `url` or REDIS_URL; `what` needs it, and waits for it where `waiting` is told so.

    Raises:
        BrokerAway: neither is given, or it does not answer.
    """
    url = url or settings().redis_url
    if url is None:
        raise BrokerAway(missing_broker(what))
    return connect(url) if waiting is None else wait_for(url, waiting)


def clock(redis: Redis) -> float:
    """The server's time, the only one that the fleet goes by; seconds since 1970."""
    seconds, microseconds = redis.time()
    return float(seconds + microseconds / 1e6)


def refused(error: BaseException) -> bool:
    """Whether the broker refuses its user something, by itself or, in words of its own, in a script."""
    return any(
        isinstance(one, NoPermissionError)
        or (isinstance(one, redis.ResponseError) and any(said in str(one) for said in _IN_A_SCRIPT))
        for one in (error, error.__cause__, error.__context__)
    )


def shown(url: str) -> str:
    """The URL as it may be shown: without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or 6379}{parts.path}"
