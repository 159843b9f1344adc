"""What dead workers of this machine have left in their journals, brought to the ledger."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from pydantic import BaseModel, ConfigDict

from ledger.damaged import Damaged, reading
from ledger.leases import Settlement
from workers.clerk import Clerk
from workers.journal import Journal
from workers.patience import Stopped


class _Line(BaseModel):
    """A line of a journal, as clerk.py writes it."""

    model_config = ConfigDict(strict=True)

    job: str
    model: str
    unit: int
    token: str
    # Not in lines of older versions, for a ledger that is not this one: the job, if it is here, was made known again
    # since. Taken for one of today's, such an answer would be thrown away as a repetition; taken for an orphan, it
    # would be charged again where it had reached the old ledger and its books were brought from there. So it is set
    # aside: a person can tell.
    incarnation: str
    settlement: Settlement
    attempt: dict[str, Any]
    examples: list[dict[str, Any]]


async def replay(journal: Journal, clerk: Clerk) -> None:
    """Settles it, through this process's own journal where the broker is away; what cannot be is set aside."""
    tasks = set()
    for left in journal.left_behind():
        task = asyncio.ensure_future(_replayed(left, journal, clerk))
        tasks.add(task)
        # A file goes after its last line: by then each is settled, set aside or in this process's own journal.
        while not task.done() and not journal.holds(left):
            await asyncio.wait([task], timeout=0.1)
    await asyncio.gather(*tasks)


async def _replayed(left: Any, journal: Journal, clerk: Clerk) -> None:
    try:
        with reading("a line of the journal"):
            line = _Line.model_validate(left)
        with contextlib.suppress(Stopped):  # it stays in the journal
            await clerk.settle(**dict(line))
    except Damaged as damaged:
        journal.set_aside(left, str(damaged))
