"""A job as people look at it: its status, how fast it is, what it waits for, how long it will take and cost."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from config.money import NANO
from console.reading.course import Course
from console.reading.money import Forecast, forecast
from console.reading.rate import MINUTE, Growth, growth, now_per_minute, since_first
from console.reading.time_left import Left, time_left
from ledger import history, keys
from ledger.connection import Redis, clock
from ledger.history import JobReading
from ledger.jobs import AT_REST
from ledger.status import Status, status_of

_OWN_EVERY_SECONDS = 5.0


@dataclass(frozen=True)
class JobView:
    """A job at a moment.

    Attributes:
        at: seconds since 1970, by the broker's clock.
        status: the reading of its counters.
        per_minute: examples settled a minute over the last minute; 0 where it rests.
        run_per_minute: over all of the time it was worked on.
        worked_seconds: that time.
        usd_per_hour: what the last minute's results cost, for an hour; 0 where it rests.
        left: how long it will still take; None where that cannot be told, or it rests.
        budget_left: how long its budget will last, where that ends first.
        forecast: what it comes to in money; None where that cannot be told.
        queued: tasks that are enqueued and that no call is made for yet.
        recent: failures by cause within the last minute or so; None where nobody has watched that long.
    """

    at: float
    status: Status
    per_minute: float
    run_per_minute: float
    worked_seconds: float
    usd_per_hour: float
    left: Left | None
    budget_left: Left | None
    forecast: Forecast | None
    queued: int
    recent: Mapping[str, int] | None = None


class JobReader:
    """Reads one job again and again; of its history what is new alone."""

    def __init__(self, redis: Redis, job: str) -> None:
        self._redis = redis
        self._job = job
        self._course: Course | None = None
        self._reasons: deque[tuple[float, Mapping[str, int]]] = deque()

    def read(self, status: Status | None = None) -> JobView:
        """The job as it is now, or as it was when `status` was read, just before.

        Raises:
            JobNotFound, Damaged: see `ledger.status.status_of`.
        """
        status = status or status_of(self._redis, self._job)
        at = clock(self._redis)
        first, last, todo = self._times()
        rests = status.state in AT_REST
        end = JobReading(
            last if rests and last else at,
            status.accepted,
            status.rejected,
            status.attempts,
            status.prompt_tokens,
            status.completion_tokens,
            status.cost_nano_usd,
            status.running,
        )
        readings = self._readings(first, end, rests)
        run = growth(readings)
        money, each = forecast(status), status.total / max(1, status.tasks)
        left = budget_left = None
        if not rests:
            left = time_left(readings, status.total - status.settled, each)
            if money is not None and money.examples is not None:
                budget_left = time_left(readings, money.examples - status.settled, each)
        return JobView(
            at=at,
            status=status,
            per_minute=0.0 if rests else now_per_minute(readings),
            run_per_minute=run.per_minute,
            worked_seconds=run.seconds,
            usd_per_hour=0.0 if rests else 60 * _spent(readings).per_minute / NANO,
            left=left,
            budget_left=budget_left,
            forecast=money,
            queued=max(0, todo - status.running),
            recent=self._recent(at, status.reasons),
        )

    def _times(self) -> tuple[float, float, int]:
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.job(self._job), "first_at", "last_at")
            pipe.hlen(keys.job(self._job, "todo"))
            (first, last), todo = pipe.execute()
        return int(first or 0) / 1e6, int(last or 0) / 1e6, int(todo)

    def _readings(self, first: float, end: JobReading, rests: bool) -> list[JobReading]:
        if not first:
            return []
        if self._course is None or self._course.first != first:
            self._course = Course(first)
        course = self._course
        for reading in history.of_job(self._redis, self._job, course.until + 0.001):
            course.add(reading)
        readings = course.up_to(end, rests=rests)
        if not rests and end.at - course.until >= _OWN_EVERY_SECONDS:
            # The ledger's readings are far apart for a long job.
            course.add(end)
        return readings

    def _recent(self, at: float, reasons: Mapping[str, int]) -> Mapping[str, int] | None:
        self._reasons.append((at, reasons))
        while len(self._reasons) > 1 and self._reasons[1][0] <= at - 60:
            self._reasons.popleft()
        then, before = self._reasons[0]
        if at - then < 1:
            return None
        grown = {name: count - before.get(name, 0) for name, count in reasons.items()}
        return {name: count for name, count in grown.items() if count > 0}


def _spent(readings: list[JobReading]) -> Growth:
    return growth(since_first(readings), MINUTE, lambda reading: reading.spent)
