"""What the Jobs tab shows at this moment: read from the ledger once for however many browsers look."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from config.money import NANO
from console.jobs_page import card
from console.jobs_page.changes import Changes
from console.jobs_page.series import series
from console.reading.job import JobReader
from console.reading.model import last_minutes
from console.reading.workers import workers_now
from ledger import budget, fleet, jobs, keys, latest
from ledger.connection import Redis, clock
from ledger.damaged import Damaged, reading
from ledger.history import ModelReading
from ledger.jobs import AT_REST, JobNotFound
from ledger.latest import Latest
from ledger.status import Status, status_of, statuses_of

#: Of the newest jobs, how many are listed, and how many of those at work, or the newest, are shown whole.
LISTED, WHOLE = 50, 6
_FRESH_SECONDS = 0.8
_LATEST_EVERY_SECONDS = 4.0
_READERS = 24


class Board:
    """Reads the ledger, at `redis`, for the pages. Every method may be called from any thread."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._lock = threading.Lock()
        self._at = 0.0
        self._changes = Changes()
        self._readers: OrderedDict[str, JobReader] = OrderedDict()
        self._latest: OrderedDict[str, tuple[float, Latest]] = OrderedDict()

    def since(self, cursor: str) -> dict[str, Any]:
        """What of the whole picture has changed since `cursor`."""
        with self._lock:
            if time.monotonic() - self._at > _FRESH_SECONDS:
                self._changes.take(self._picture())
                self._at = time.monotonic()
            return self._changes.since(cursor)

    def job(self, job: str) -> dict[str, Any]:
        """One job with all that is known of it, and its model. Raises JobNotFound and Damaged."""
        with self._lock:
            status = status_of(self.redis, job)
            readings = last_minutes(self.redis, status.model)
            return {
                "job": self._card(status, readings),
                "model": card.gauge_row(status.model, readings, status.state == "running"),
            }

    def series(self, job: str, since: float | None) -> dict[str, Any]:
        """The job's columns for charts, or what has come after `since`. Raises JobNotFound and Damaged."""
        with reading(f'job "{job}"'):
            first, last, ended, state, model = self.redis.hmget(
                keys.job(job), "first_at", "last_at", "ended_at", "state", "model"
            )
            if model is None:
                raise JobNotFound.of(job)
            runs = state == b"running"
            end = clock(self.redis) if runs else max(int(ended or 0), int(last or 0)) / 1e6
            begin, of_model = int(first or 0) / 1e6, model.decode()
        if not first:
            return {"job": None, "model": None}
        return series(self.redis, job, of_model, begin, end, since, over=not runs)

    def latest(self, job: str) -> Latest:
        """The newest examples of the job. Raises Damaged."""
        return latest.read(self.redis, job)

    def _picture(self) -> dict[str, Any]:
        names = jobs.ids(self.redis)
        readings = statuses_of(self.redis, names[:LISTED])
        whole = [one for one in readings if one.state not in AT_REST][:WHOLE] or readings[:1]
        models = {model: last_minutes(self.redis, model) for model in dict.fromkeys(one.model for one in readings)}
        workers, books = workers_now(self.redis), budget.read(self.redis)
        found: dict[str, Any] = {f"job {one.job}": card.row(one) for one in readings}
        for one in whole:
            with suppress(JobNotFound, Damaged):
                found[f"job {one.job}"] = self._card(one, models[one.model])
        busy = {one.model for one in readings if one.state == "running"}
        cards = [found[f"job {one.job}"] for one in whole]
        return found | {
            "order": [one.job for one in readings],
            "whole": [one.job for one in whole],
            "older": len(names) - len(readings),
            "models": [card.gauge_row(name, of, name in busy) for name, of in models.items()],
            "workers": card.worker_rows(workers, fleet.dead(self.redis)),
            "fleet": {
                "running": sum(one.state == "running" for one in readings),
                "per_minute": round(sum(one.get("per_minute", 0.0) for one in cards), 1),
                "in_flight": sum(one.running for one in readings),
                "workers": len(workers),
                "spent_usd": books.spent / NANO,
                "unknown_usd": books.unknown / NANO,
                "per_day_usd": None if books.per_day is None else books.per_day / NANO,
            },
        }

    def _card(self, status: Status, readings: list[ModelReading]) -> dict[str, Any]:
        reader = self._readers.pop(status.job, None) or JobReader(self.redis, status.job)
        self._readers[status.job] = reader
        if len(self._readers) > _READERS:
            self._readers.popitem(last=False)
        return card.card(reader.read(status), self._newest(status), readings)

    def _newest(self, status: Status) -> Latest:
        """The newest examples, of which a list of causes shows a line each: they need not be of this second."""
        if not status.reasons:
            return Latest([], {})
        at, found = self._latest.pop(status.job, (-_LATEST_EVERY_SECONDS, Latest([], {})))
        if time.monotonic() - at >= _LATEST_EVERY_SECONDS:
            at, found = time.monotonic(), self.latest(status.job)
        self._latest[status.job] = (at, Latest([], found.causes))
        if len(self._latest) > _READERS:
            self._latest.popitem(last=False)
        return self._latest[status.job][1]
