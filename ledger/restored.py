"""A job that the broker has lost, made known again with the books that its part files tell.

The broker may lose all it held: a disk that broke, a server without an append-only file. What was collected is safe,
so the job goes on from there; what was settled and not collected, or in flight, is in nobody's books but a worker's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from config.errors import UserError
from ledger import keys
from ledger.connection import Redis, clock
from ledger.damaged import reading
from ledger.part_files import StreamId


class StillThere(UserError):
    """The ledger knows the job, so there is nothing to restore."""


class ClockBehind(UserError):
    """The broker's clock shows less than when results were settled."""


@dataclass
class Books:
    """A job's counts and sums. Money in nano-dollars; `reasons` as in settle.lua."""

    accepted: int = 0
    rejected: int = 0
    attempts: int = 0
    spent: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Passed:
    """A task as the part files tell of it, and as it stands on a list; `reason` where all of it was rejected.

    `unknown` of its calls may have been billed although no answer came, each with `most_nano_usd` at the most.
    """

    unit: int
    todo: str
    reason: str | None
    unknown: int
    most_nano_usd: int


def restored(redis: Redis, job: str) -> bool:
    """Whether the job was made known from its part files, so that its list has gaps that only those explain."""
    return redis.hget(keys.job(job), "restored") is not None


def known(redis: Redis, job: str) -> bool:
    """Whether the ledger has anything of the job's work. Raises Damaged."""
    with reading(f'job "{job}"'):
        cursor, attempts = redis.hmget(keys.job(job), "cursor", "attempts")
        return bool(int(cursor or 0) or int(attempts or 0))


def restore(redis: Redis, job: str, books: Books, last: StreamId) -> None:
    """Gives a job that was just made known the books of what was collected; a second time changes nothing.

    Args:
        last: of the entries that were collected.

    Raises:
        StillThere: the ledger has not lost the job.
        ClockBehind: results to come would be taken for old ones.
    """
    if restored(redis, job):
        return
    if known(redis, job):
        raise StillThere(f'resume: the broker has not lost job "{job}"; submit it without --resume to go on.')
    now = clock(redis)
    if now * 1000 <= last.ms:
        raise ClockBehind(
            f"resume: the broker's clock is {last.ms / 1000 - now:.0f} s behind the last result that was collected: "
            "set it right, or wait, so that new results come after it."
        )
    fields = {name: value for name, value in asdict(books).items() if name != "reasons"}
    with redis.pipeline(transaction=True) as pipe:
        pipe.hset(keys.job(job), mapping=fields | {"restored": int(now * 1e6), "last_at": int(now * 1e6)})
        if books.reasons:
            pipe.hset(keys.job(job, "reasons"), mapping=dict(books.reasons))
        pipe.execute()


def pass_over(pipe: Redis, job: str, tasks: Iterable[Passed]) -> None:
    """Keeps of tasks that the cursor moves behind what the ledger keeps of such, as part of a transaction."""
    for task in tasks:
        if task.reason is not None:
            pipe.hset(keys.job(job, "rejected"), str(task.unit), f"{task.reason} {task.todo}")
        for number in range(task.unknown):
            # Named under no attempt's token, and of no day's budget.
            pipe.hset(keys.job(job, "unknown"), f"restored-{task.unit}-{number}", f"{task.most_nano_usd} 0")
            pipe.hincrby(keys.job(job), "unknown", task.most_nano_usd)
