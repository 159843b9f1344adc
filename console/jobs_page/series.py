"""A job over time, in columns for charts: its counters, and how much of each limit its model used meanwhile."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from config.money import NANO
from console.reading.binding import binding, gauges, waits_between
from ledger import history
from ledger.connection import Redis
from ledger.history import JobReading, ModelReading

#: More points than a chart has room for say nothing.
POINTS = 240
#: The model's readings are cut to the job's time; so much more, as both are not taken at the same moment.
_AROUND = 6.0


def series(
    redis: Redis, job: str, model: str, first: float, last: float, since: float | None, *, over: bool = False
) -> dict[str, Any]:
    """The columns of the job's time, or what has come after `since`.

    Args:
        first, last: the job's time, in seconds since 1970; `last` is the end of what is shown.
        since: the last moment that the asker knows; None where it knows none.
        over: nothing is at work on it any more, so that its counters are those of its end.
    """
    known = first if since is None else since + 0.001
    own = history.of_job(redis, job, known, last + _AROUND, POINTS)
    begin = JobReading(first, 0, 0, 0, 0, 0, 0, 0)
    if over and last > (own[-1].at if own else known):
        # It ended between two readings, or with its last worker.
        own.append(history.counters(redis, job, last))
    of_model = history.of_model(redis, model, known - (_AROUND if since is None else 0), last + _AROUND, POINTS)
    return {
        "job": job_columns([begin, *own] if since is None else own),
        "model": model_columns(of_model),
    }


def job_columns(readings: list[JobReading]) -> dict[str, list[Any]]:
    """Counters as they stood at each moment; money in dollars."""
    return {
        "at": [round(one.at, 3) for one in readings],
        "accepted": [one.accepted for one in readings],
        "rejected": [one.rejected for one in readings],
        "running": [one.running for one in readings],
        "tokens": [one.prompt_tokens + one.completion_tokens for one in readings],
        "cost": [round(one.spent / NANO, 9) for one in readings],
    }


def model_columns(readings: list[ModelReading]) -> dict[str, list[Any]]:
    """Of each limit the share in use at each moment, None where there is none, and what calls waited for before it."""
    shares = [{gauge.name: gauge.share for gauge in gauges(one)} for one in readings]
    binds = [None, *(_between(before, after) for before, after in pairwise(readings))]
    return {
        "at": [round(one.at, 3) for one in readings],
        **{
            name: [None if share[name] is None else round(share[name] or 0.0, 4) for share in shares]
            for name in ("requests", "tokens", "concurrent")
        },
        "binds": binds[: len(readings)],
    }


def _between(before: ModelReading, after: ModelReading) -> str | None:
    return binding(waits_between(before.waited, after.waited, after.at - before.at))
