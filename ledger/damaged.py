"""Records in the broker that are not what the ledger writes: whoever reaches it can put anything there."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import ResponseError

from config.errors import UserError

#: A job's id is part of keys, of a queue's name and of a folder's.
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class Damaged(UserError):
    """What stands in the broker, or is to go there, cannot be read."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Raises Damaged, which names `what`, where a record turns out to be something else than was written."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):
        raise Damaged(_sentence(what)) from None
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        raise Damaged(_sentence(what)) from None


def _sentence(what: str) -> str:
    return f"{what} cannot be read in the broker: it is damaged, or of another version of genfleet."


def job_name(raw: bytes | str) -> str | None:
    """The job's id, or None where it is none that a producer gives."""
    name = raw.decode("ascii", "replace") if isinstance(raw, bytes) else raw
    return name if _JOB.fullmatch(name) else None


def whole(raw: bytes) -> int | None:
    """A number of a task, or None where it is none."""
    return int(raw) if raw.isdigit() and len(raw) < 17 else None


def amount(raw: bytes | None) -> float | None:
    """A finite number above 0; None where there is none, or something else."""
    try:
        value = float(raw or 0)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None
