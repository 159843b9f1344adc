"""What a broker says that does not serve us, and whether that passes by itself."""

from __future__ import annotations

import re

import redis

from ledger.connection import refused

#: Word in an error reply -> what it means. redis-py leaves the word out of the text of those that it has a class for.
_PASSING = {
    "OOM": "has no memory left (its maxmemory is reached): collect results with `genfleet collect`, or give it more",
    "READONLY": "takes no writes (it is a replica, as in a failover)",
    "UNBLOCKED": "takes no writes (it is a replica, as in a failover)",
    "MASTERDOWN": "takes no writes (it has lost its master)",
    "NOREPLICAS": "takes no writes (too few of its replicas are there)",
    "MISCONF": "takes no writes (it cannot save to its own disk)",
    "CLUSTERDOWN": "takes no writes (its cluster is down)",
    "BUSY": "is busy with another script",
    "LOADING": "still loads its data",
    "TRYAGAIN": "is moving its data",
}
_CLASSES: dict[type[Exception], str] = {
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.MasterDownError: "MASTERDOWN",
    redis.exceptions.ClusterDownError: "CLUSTERDOWN",
    redis.exceptions.BusyLoadingError: "LOADING",
    redis.exceptions.TryAgainError: "TRYAGAIN",
}
_WORD = re.compile(rf"\b({'|'.join(_PASSING)})\b")


def passing(error: Exception) -> str | None:
    """What is the matter with the broker, as a sentence without its full stop; None where it will not pass."""
    word = next((word for kind, word in _CLASSES.items() if isinstance(error, kind)), None)
    if word is None and isinstance(error, redis.ResponseError):
        # Older servers wrap what a script met into an error of their own.
        found = _WORD.search(str(error))
        word = found[1] if found else None
    if word is not None:
        return f"the broker {_PASSING[word]}"
    if isinstance(error, redis.AuthenticationError):
        return "the broker refuses the password in REDIS_URL"
    if refused(error):
        return "the broker refuses what this user asks for (its rights have changed)"
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return f"the broker does not answer ({type(error).__name__})"
    return None
