"""The whole fleet at a moment: its workers, its models, the jobs that run, and what it all comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from config.money import NANO
from console.reading.binding import Binds, Gauge, binding, gauges, waits
from console.reading.job import JobReader, JobView
from console.reading.model import last_minutes
from console.reading.workers import Worker, workers_now
from ledger import budget, jobs, keys
from ledger.budget import Books
from ledger.connection import Redis, clock
from ledger.history import ModelReading
from ledger.status import statuses_of


@dataclass(frozen=True)
class ModelView:
    """A model at a moment.

    Attributes:
        name: of the model.
        now: its use and limits.
        waited: for what lines have waited in the last minute (`console.reading.binding.waits`).
        refused_lately: 429s of the last minute.
        lines: by job, lines of living workers that were told to wait for it.
        binds: what holds its jobs back.
    """

    name: str
    now: ModelReading
    waited: Mapping[Binds, float]
    refused_lately: int
    lines: Counter[str]
    binds: Binds | None

    @property
    def gauges(self) -> tuple[Gauge, Gauge, Gauge]:
        """Requests, tokens and calls in flight."""
        return gauges(self.now)

    @property
    def is_used(self) -> bool:
        """Whether anything was called in the last minute, or waits."""
        return bool(self.now.requests or self.now.in_flight or self.lines)


@dataclass(frozen=True)
class FleetView:
    """The fleet at a moment: `at` in seconds since 1970, the jobs that run, and today's money."""

    at: float
    workers: list[Worker]
    models: list[ModelView]
    jobs: list[JobView]
    books: Books

    @property
    def hosts(self) -> int:
        """Machines with a living worker."""
        return len({worker.host for worker in self.workers})

    @property
    def in_flight(self) -> int:
        """Calls of living workers."""
        return sum(worker.in_flight.total() for worker in self.workers)

    @property
    def per_minute(self) -> float:
        """Examples settled a minute, of all jobs."""
        return sum(job.per_minute for job in self.jobs)

    @property
    def usd_per_hour(self) -> float:
        """What all jobs cost an hour at the last minute's pace."""
        return sum(job.usd_per_hour for job in self.jobs)


class FleetReader:
    """Reads the fleet again and again.

    Args:
        redis: the broker.
        models: those to read besides the models of running jobs.
    """

    def __init__(self, redis: Redis, models: Iterable[str]) -> None:
        self._redis = redis
        self._models = list(models)
        self._jobs: dict[str, JobReader] = {}

    def read(self) -> FleetView:
        """The fleet as it is now. Raises Damaged."""
        running = jobs.running(self._redis)
        self._jobs = {name: self._jobs.get(name) or JobReader(self._redis, name) for name in running}
        views = [self._jobs[one.job].read(one) for one in statuses_of(self._redis, list(running))]
        workers = workers_now(self._redis)
        names = dict.fromkeys([*self._models, *(one.model for one in running.values())])
        queued = Counter[str]()
        for view in views:
            queued[view.status.model] += view.queued
        busy = {one.model for one in running.values()}
        models = [self._model(name, workers, queued[name], busy=name in busy) for name in names]
        return FleetView(clock(self._redis), workers, models, views, budget.read(self._redis))

    def _model(self, name: str, workers: list[Worker], queued: int, *, busy: bool) -> ModelView:
        readings = last_minutes(self._redis, name)
        waited = waits(readings)
        now = readings[-1]
        then = next(one for one in readings if one.at >= now.at - 60)
        living = {worker.name for worker in workers}
        lines = Counter[str]()
        for line in self._redis.hkeys(keys.waiting(name)):
            worker, _, job = line.decode("utf-8", "replace").rpartition(" ")
            lines[job] += worker in living
        return ModelView(
            name=name,
            now=now,
            waited=waited,
            refused_lately=max(0, now.refused - then.refused),
            lines=+lines,
            # What bound a job until a moment ago binds nobody now.
            binds=binding(waited, queued if workers else 0) if busy else None,
        )


#: The fields of `genfleet top --json`; those of its jobs are of `genfleet watch --json`.
FIELDS = {
    "at": "when it was read, in seconds since 1970 by the broker's clock",
    "per_minute": "examples settled a minute, of all jobs, over the last minute",
    "usd_per_hour": "what they cost an hour, by the results of the last minute",
    "in_flight": "calls of living workers",
    "spent_today_usd": "since midnight UTC; also reserved_usd, unknown_usd and daily_budget_usd",
    "workers": "name, host, process, in_flight, waiting, silent_seconds since its heartbeat, jobs",
    "models": "model, limits (used, limit), share, refused, refused_last_minute, binds, waited, lines",
    "jobs": "those that run: job, model, total, settled, per_minute, usd_per_hour, left_seconds",
}


def as_json(fleet: FleetView) -> dict[str, Any]:
    """The fleet with the fields that FIELDS tells of."""
    books = fleet.books
    return {
        "at": round(fleet.at, 3),
        "per_minute": round(fleet.per_minute, 2),
        "usd_per_hour": round(fleet.usd_per_hour, 6),
        "in_flight": fleet.in_flight,
        "spent_today_usd": books.spent / NANO,
        "reserved_usd": books.reserved / NANO,
        "unknown_usd": books.unknown / NANO,
        "daily_budget_usd": None if books.per_day is None else books.per_day / NANO,
        "workers": [
            {
                "name": one.name,
                "host": one.host,
                "process": one.process,
                "in_flight": one.in_flight.total(),
                "waiting": one.waiting.total(),
                "silent_seconds": round(one.silent, 1),
                "jobs": one.jobs,
            }
            for one in fleet.workers
        ],
        "models": [
            {
                "model": one.name,
                "limits": {gauge.name: {"used": gauge.used, "limit": gauge.limit} for gauge in one.gauges},
                "share": one.now.share,
                "refused": one.now.refused,
                "refused_last_minute": one.refused_lately,
                "binds": one.binds,
                "waited": {name: round(seconds, 3) for name, seconds in one.waited.items()},
                "lines": dict(one.lines),
            }
            for one in fleet.models
        ],
        "jobs": [
            {
                "job": one.status.job,
                "model": one.status.model,
                "total": one.status.total,
                "settled": one.status.settled,
                "per_minute": round(one.per_minute, 2),
                "usd_per_hour": round(one.usd_per_hour, 6),
                "left_seconds": None if one.left is None else round(one.left.likely, 1),
            }
            for one in fleet.jobs
        ],
    }
