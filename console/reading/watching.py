"""A job and what is around it, read again and again: its model's limits, the workers, and what holds it back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console.reading.binding import Binds, Gauge, binding, gauges, waits
from console.reading.job import JobReader, JobView
from console.reading.model import last_minutes
from console.reading.workers import workers_now
from ledger import budget, keys
from ledger.budget import Books
from ledger.connection import Redis
from ledger.history import ModelReading
from ledger.jobs import AT_REST
from ledger.status import Status

#: The fields of a reading as JSON, besides those of `genfleet status --json`.
FIELDS = {
    "at": "when it was read, in seconds since 1970 by the broker's clock",
    "per_minute": "examples settled a minute, over the last minute",
    "run_per_minute": "the same over the time that it was worked on",
    "worked_seconds": "that time, without pauses",
    "left_seconds": "how long it will probably still take; null where that cannot be told",
    "left_low_seconds": "the low end of its range",
    "left_high_seconds": "the high end; null where that has none",
    "budget_left_seconds": "how long the budget will last, where it ends first; else null",
    "forecast_usd": "what the job will have cost at this pace; null before anything was paid for",
    "budget_examples": "examples that the budget pays for; null where it lasts, or there is none",
    "queued": "tasks that are enqueued and wait for a call",
    "limits": "by requests, tokens, concurrent: used (in the last minute, or now) and limit (null for none)",
    "share": "of the limits a minute that refusals have left in use",
    "refused": "429s of the model so far",
    "binds": "requests, tokens, concurrent, pause, workers, or null where nothing holds it back",
    "workers": "worker processes that are alive",
    "in_flight": "calls in flight of all jobs, by their leases",
}


@dataclass(frozen=True)
class Around:
    """What is around a job.

    Attributes:
        model: its model as it is now.
        waited: for what lines of workers have waited, in seconds a second (`console.reading.binding.waits`).
        workers: living worker processes.
        hosts: machines they are on.
        in_flight: their calls, of all jobs.
        fed: whether a producer is enqueuing the job.
        books: today's money of the whole fleet.
    """

    model: ModelReading
    waited: Mapping[Binds, float]
    workers: int
    hosts: int
    in_flight: int
    fed: bool
    books: Books

    @property
    def gauges(self) -> tuple[Gauge, Gauge, Gauge]:
        """Requests, tokens and calls in flight of the model."""
        return gauges(self.model)


@dataclass(frozen=True)
class Watched:
    """A job and what is around it."""

    job: JobView
    around: Around

    @property
    def status(self) -> Status:
        """The job's counters."""
        return self.job.status

    @property
    def binds(self) -> Binds | None:
        """What holds the job back now; None where it rests, or nothing does."""
        if self.status.state in AT_REST:
            return None
        return binding(self.around.waited, self.job.queued if self.around.workers else 0)

    @property
    def fed(self) -> bool:
        """Whether all of the job is enqueued, or a producer is at it."""
        return self.around.fed or self.status.enqueued >= self.status.tasks


class Watcher:
    """Reads a job and what is around it."""

    def __init__(self, redis: Redis, job: str) -> None:
        self._redis = redis
        self._name = job
        self._reader = JobReader(redis, job)

    def read(self, status: Status | None = None) -> Watched:
        """The job now, or as it was when `status` was read, just before. Raises JobNotFound and Damaged."""
        job = self._reader.read(status)
        return Watched(job, self._looked(job.status.model))

    def _looked(self, model: str) -> Around:
        readings, workers = last_minutes(self._redis, model), workers_now(self._redis)
        return Around(
            model=readings[-1],
            waited=waits(readings),
            workers=len(workers),
            hosts=len({worker.host for worker in workers}),
            in_flight=sum(worker.in_flight.total() for worker in workers),
            fed=bool(self._redis.exists(keys.job(self._name, "producer"))),
            books=budget.read(self._redis),
        )


def as_json(watched: Watched) -> dict[str, Any]:
    """A reading with the fields of `Status` and those that FIELDS tells of."""
    job, around = watched.job, watched.around
    left, money = job.left, job.forecast
    high = None if left is None or math.isinf(left.high) else round(left.high, 1)
    return job.status.model_dump() | {
        "at": round(job.at, 3),
        "per_minute": round(job.per_minute, 2),
        "run_per_minute": round(job.run_per_minute, 2),
        "worked_seconds": round(job.worked_seconds, 1),
        "left_seconds": None if left is None else round(left.likely, 1),
        "left_low_seconds": None if left is None else round(left.low, 1),
        "left_high_seconds": high,
        "budget_left_seconds": None if job.budget_left is None else round(job.budget_left.likely, 1),
        "forecast_usd": None if money is None else round(money.cost_usd, 6),
        "budget_examples": None if money is None else money.examples,
        "queued": job.queued,
        "limits": {one.name: {"used": one.used, "limit": one.limit} for one in around.gauges},
        "share": around.model.share,
        "refused": around.model.refused,
        "binds": watched.binds,
        "workers": around.workers,
        "in_flight": around.in_flight,
    }
