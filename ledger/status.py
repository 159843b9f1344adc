"""How far a job is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from pydantic import BaseModel

from config.money import NANO
from ledger import keys, taking
from ledger.connection import Redis, clock
from ledger.damaged import Damaged, reading
from ledger.jobs import JobNotFound, State


class Status(BaseModel):
    """One reading of a job. Money in dollars, time in seconds; `waiting` examples are neither settled nor running."""

    job: str
    recipe: str
    model: str
    state: State
    total: int
    accepted: int
    rejected: int
    waiting: int
    running: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_usd: float
    cost_nano_usd: int
    reserved_usd: float
    unknown_usd: float
    budget_usd: float | None
    seconds: float
    tasks: int
    enqueued: int
    duplicates: int
    duplicate_cost_usd: float
    uncollected: int
    reasons: dict[str, int]
    note: str | None = None

    @property
    def settled(self) -> int:
        """Examples that are accepted or rejected."""
        return self.accepted + self.rejected


def status_of(redis: Redis, job: str) -> Status:
    """One reading of the job. Raises JobNotFound and Damaged."""
    with reading(f'job "{job}"'):
        found = _found(redis, [job])[0]
        if found is None:
            raise JobNotFound.of(job)
        return found


def statuses_of(redis: Redis, jobs: Sequence[str]) -> list[Status]:
    """One reading of each of these jobs, in one round trip; without those that cannot be read."""
    try:
        with reading("the jobs"):
            return [found for found in _found(redis, jobs) if found is not None]
    except Damaged:
        readable = []
        for job in jobs:
            with suppress(JobNotFound, Damaged):
                readable.append(status_of(redis, job))
        return readable


def _found(redis: Redis, jobs: Sequence[str]) -> list[Status | None]:
    with redis.pipeline() as pipe:
        for job in jobs:
            pipe.hgetall(keys.job(job))
            pipe.hlen(keys.job(job, "leases"))
            pipe.hgetall(keys.job(job, "reasons"))
            pipe.xlen(keys.job(job, "results"))
        replies = pipe.execute()
    now = clock(redis) * 1e6
    found = [_status(job, now, *replies[4 * place : 4 * place + 4]) for place, job in enumerate(jobs)]
    # Of a job without classes no worker's copy can be another.
    asked = [
        one.job
        for one, fields in zip(found, replies[::4], strict=True)
        if one is not None and one.state == "running" and b"classes" in fields
    ]
    notes = taking.notes(redis, asked) if asked else {}
    return [one and one.model_copy(update={"note": notes.get(one.job, one.note)}) for one in found]


def _status(
    job: str, now: float, raw: dict[bytes, bytes], running: int, reasons: dict[bytes, bytes], uncollected: int
) -> Status | None:
    fields = {name.decode(): value.decode() for name, value in raw.items()}
    if "state" not in fields:
        return None

    def whole(name: str) -> int:
        return int(fields.get(name, 0))

    first = whole("first_at")
    end = whole("ended_at") or (now if fields["state"] == "running" else whole("last_at"))
    total, settled = whole("total"), whole("accepted") + whole("rejected")
    return Status(
        job=job,
        recipe=fields["recipe"],
        model=fields["model"],
        state=fields["state"],
        total=total,
        accepted=whole("accepted"),
        rejected=whole("rejected"),
        running=running,
        waiting=max(0, total - settled - running),
        attempts=whole("attempts"),
        prompt_tokens=whole("prompt_tokens"),
        completion_tokens=whole("completion_tokens"),
        cached_tokens=whole("cached_tokens"),
        cost_usd=whole("spent") / NANO,
        cost_nano_usd=whole("spent"),
        reserved_usd=whole("reserved") / NANO,
        unknown_usd=whole("unknown") / NANO,
        budget_usd=whole("budget") / NANO if "budget" in fields else None,
        seconds=round(max(0.0, (end - first) / 1e6), 3) if first else 0.0,
        tasks=whole("units"),
        enqueued=whole("cursor"),
        duplicates=whole("duplicates"),
        duplicate_cost_usd=whole("duplicate_spent") / NANO,
        uncollected=uncollected,
        reasons={name.decode(): int(count) for name, count in sorted(reasons.items()) if int(count)},
        note=fields.get("note"),
    )
