"""The form in which the ledger keeps things, so that two versions never work on the same one.

A worker settles with its own scripts what another one admitted with its own: if the two mean different keys or fields,
slots, money and examples go wrong without an error.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis.exceptions import NoPermissionError

from config.errors import UserError
from ledger import keys
from ledger.damaged import reading

FORMAT = 2
"""Raised by whoever changes what a script or a module of the ledger writes into a key or a field, what it reads there,
or what a script takes and answers. Not raised for what a version that does not know it may leave alone, such as a field
that nothing but a display reads."""


class OtherFormat(UserError):
    """The ledger is of another version's making."""


def agree(redis: Any, where: str) -> None:
    """Makes sure that the ledger at `where`, an address to show, is of this version's format; an empty one becomes so.

    Who has no right to read the number, or to set it first, is let through: its broker's owner has decided so.

    Raises:
        OtherFormat: it is of another one; one sentence that names both.
        Damaged: what stands there is no number.
    """
    with reading("the ledger's format"), suppress(NoPermissionError):
        found = redis.get(keys.FORMAT)
        if found is None:
            redis.set(keys.FORMAT, FORMAT, nx=True)
            found = redis.get(keys.FORMAT)
        if found is not None and int(found) != FORMAT:
            raise OtherFormat(
                f"the ledger in the broker at {where} is of format {int(found)}, and this version of genfleet keeps "
                f"format {FORMAT}: run all of a fleet in one version, or give this one an empty database in REDIS_URL."
            )
