"""The buttons of a job's page: each is a command of genfleet."""

from __future__ import annotations

from typing import Any

from console import acting
from ledger import jobs
from ledger.connection import Redis
from ledger.jobs import JobNotFound
from ledger.status import status_of
from producers.plan import SubmitError

ACTIONS = ("pause", "resume", "cancel", "retry")


def act(redis: Redis, job: str, action: str, asked: dict[str, Any]) -> str:
    """Does it, and says what came of it.

    Args:
        action: one of ACTIONS.
        asked: `budget` in USD for resume; `reason` for retry, by default every rejected example.

    Raises:
        JobNotFound: there is no such job.
        SubmitError: the budget is no amount of money, or the reason no text.
    """
    if jobs.find(redis, job) != job:
        raise JobNotFound.of(job)
    if action in ("pause", "cancel"):
        reading = acting.rest(redis, job, "paused" if action == "pause" else "cancelled")
        return f"{reading.state}, {reading.settled:,} of {reading.total:,} settled."
    if action == "resume":
        sent, reading = acting.resume(redis, job, _budget(asked.get("budget")))
        return f"{reading.state}, {sent:,} tasks enqueued. {acting.missing(reading)}".rstrip()
    reason = asked.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise SubmitError("reason: it is no text; give one such as invalid.")
    sent = acting.retry(redis, job, reason)
    why = f" for {reason}" if reason else ""
    reading = status_of(redis, job)
    return f"{reading.state}, {sent:,} tasks rejected{why} are enqueued again. {acting.missing(reading)}".rstrip()


def _budget(given: Any) -> float | None:
    try:
        return None if given in (None, "") else float(given)
    except (TypeError, ValueError):
        raise SubmitError("budget: it is no amount of dollars above 0.") from None
