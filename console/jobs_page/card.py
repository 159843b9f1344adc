"""What a page shows of a job, a model and a worker: plain values for JSON."""

from __future__ import annotations

import math
from typing import Any

from console.jobs_page.causes import causes
from console.reading.binding import binding, gauges, waits
from console.reading.job import JobView
from console.reading.time_left import Left
from console.reading.workers import Worker
from ledger.history import ModelReading
from ledger.latest import Latest
from ledger.status import Status


def row(status: Status) -> dict[str, Any]:
    """A job in a list: its counts and its money."""
    again = sum(count for cause, count in status.reasons.items() if cause.startswith("again:"))
    return {
        **status.model_dump(exclude={"reasons", "cost_nano_usd", "duplicate_cost_usd", "seconds"}),
        "failed": again,
        "seconds": round(status.seconds),
        "run_per_minute": round(60 * status.settled / status.seconds, 1) if status.seconds else 0.0,
    }


def card(view: JobView, latest: Latest, readings: list[ModelReading]) -> dict[str, Any]:
    """A job with all that is known of it; `readings` of its model, the last of now."""
    status = view.status
    runs = status.state == "running"
    return row(status) | {
        "per_minute": round(view.per_minute, 1),
        "run_per_minute": round(view.run_per_minute, 1),
        "left": _range(view.left),
        "budget_left": _range(view.budget_left),
        "usd_per_hour": round(view.usd_per_hour, 4),
        "forecast": view.forecast._asdict() if view.forecast is not None else None,
        "queued": view.queued,
        "binds": binding(waits(readings), view.queued) if runs else None,
        "causes": causes(status.reasons, view.recent, latest),
    }


def _range(left: Left | None) -> list[int | None] | None:
    """Low end, likely, high end in seconds; what is endless is None."""
    return None if left is None else [round(one) if math.isfinite(one) else None for one in left]


def gauge_row(name: str, readings: list[ModelReading], working: bool) -> dict[str, Any]:
    """A model's limits and their use; what binds only while it has work."""
    now = readings[-1]
    return {
        "model": name,
        "gauges": [
            {"name": gauge.name, "used": gauge.used, "limit": gauge.limit and round(gauge.limit)}
            for gauge in gauges(now)
        ],
        "share": round(now.share, 3),
        "refused": now.refused,
        "binds": binding(waits(readings)) if working else None,
    }


def worker_rows(workers: list[Worker], silent: list[str]) -> list[dict[str, Any]]:
    """Living workers, each with its share of the calls in flight; and those that have fallen silent."""
    calls = sum(worker.in_flight.total() for worker in workers)
    rows = [
        {
            "worker": worker.name,
            "host": worker.host,
            "process": worker.process,
            "heartbeat": round(worker.silent, 1),
            "in_flight": worker.in_flight.total(),
            "waiting": worker.waiting.total(),
            "share": round(worker.in_flight.total() / calls, 3) if calls else 0.0,
            "jobs": worker.jobs[:3],
        }
        for worker in workers
    ]
    return rows + [{"worker": name, "host": name, "process": "", "heartbeat": None} for name in silent]
