"""A job as a display gets it, with figures of a test's own."""

from __future__ import annotations

from typing import Any

from console.reading.binding import Binds
from console.reading.job import JobView
from console.reading.money import forecast
from console.reading.time_left import Left
from console.reading.watching import Around, Watched
from ledger.budget import Books
from ledger.history import ModelReading
from ledger.jobs import AT_REST
from ledger.status import Status


def status(**more: Any) -> Status:
    """A job that is a quarter done, for half a dollar."""
    figures: dict[str, Any] = {
        "job": "quiz-1", "recipe": "quiz", "model": "gpt-4o", "state": "running", "total": 100, "accepted": 20,
        "rejected": 5, "waiting": 65, "running": 10, "attempts": 26, "prompt_tokens": 1, "completion_tokens": 1,
        "cached_tokens": 0, "cost_usd": 0.5, "cost_nano_usd": 500_000_000, "reserved_usd": 0.1, "unknown_usd": 0.0,
        "budget_usd": None, "seconds": 60, "tasks": 100, "enqueued": 100, "duplicates": 0, "duplicate_cost_usd": 0,
        "uncollected": 0, "reasons": {},
    }  # fmt: skip
    return Status(**(figures | more))


def model(at: float = 0.0, waited: dict[str, int] | None = None, **more: Any) -> ModelReading:
    """A model with limits of all kinds, none of them reached."""
    figures: dict[str, Any] = {
        "requests": 90, "tokens": 40_000, "in_flight": 12, "share": 1.0, "refused": 0,
        "rpm": 100.0, "tpm": 80_000.0, "concurrent": 50,
    }  # fmt: skip
    return ModelReading(at=at, waited=waited or {}, **(figures | more))


LEFT = Left(100, 150, 220)


def watched(
    of: Status | None = None,
    *,
    left: Left | None = LEFT,
    waited: dict[Binds, float] | None = None,
    workers: int = 2,
    recent: dict[str, int] | None = None,
    fed: bool = True,
    per_day: int | None = None,
    **of_model: Any,
) -> Watched:
    """A job and what is around it."""
    of = of or status()
    rests = of.state in AT_REST
    money = forecast(of)
    return Watched(
        JobView(
            at=1_768_478_400.0,
            status=of,
            per_minute=0.0 if rests else 30.0,
            run_per_minute=25.0,
            worked_seconds=60.0,
            usd_per_hour=0.0 if rests else 36.0,
            left=None if rests else left,
            budget_left=left if money and money.examples is not None and not rests else None,
            forecast=money,
            queued=of.waiting,
            recent=recent,
        ),
        Around(
            model=model(**of_model),
            waited=waited or {},
            workers=workers,
            hosts=min(workers, 1),
            in_flight=12,
            fed=fed,
            books=Books(per_day, 3_000_000_000, 100_000_000, 0),
        ),
    )
