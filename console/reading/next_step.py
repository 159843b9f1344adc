"""What a person does next with a job, as a command to copy."""

from __future__ import annotations

import math
from typing import NamedTuple

from console.reading.money import forecast
from console.reading.words import budget as as_budget
from ledger.status import Status


class Step(NamedTuple):
    """Why, and the command; its places to fill in are in capitals."""

    why: str
    command: str

    def __str__(self) -> str:
        return f"{self.why}: {self.command}" if self.command else f"{self.why}."


def next_steps(status: Status, *, workers: int = 1, fed: bool = True) -> list[Step]:
    """What helps the job on, the most pressing first; nothing while it goes well.

    Args:
        status: of the job.
        workers: living worker processes.
        fed: whether a producer is at work on it, or all of it is enqueued.
    """
    job, steps = status.job, list[Step]()
    match status.state:
        case "running":
            if not workers:
                steps.append(Step("No worker is alive", "genfleet worker"))
            if not fed and status.enqueued < status.tasks:
                missing = status.tasks - status.enqueued
                steps.append(Step(f"{missing:,} tasks are not enqueued: run its submit command again", ""))
        case "budget":
            steps += _after_budget(status)
        case "paused" | "cancelled" | "stopped":
            why = {"paused": "Paused", "cancelled": "Cancelled", "stopped": "Stopped"}[status.state]
            steps.append(Step(f"{why}; it goes on with", f"genfleet resume {job}"))
        case "complete":
            steps.append(Step("The dataset in one file", f"genfleet export {job} --to FILE.jsonl"))
    if status.state != "running":
        if status.rejected:
            steps.append(Step(f"{status.rejected:,} rejected, to try again", f"genfleet retry {job}"))
        if status.uncollected:
            steps.append(Step(f"{status.uncollected:,} results not collected yet", f"genfleet collect {job}"))
    return steps


def _after_budget(status: Status) -> list[Step]:
    if status.note:
        # It was the fleet's budget of the day that stopped it, which the note says.
        return [Step("Tomorrow, or with a higher daily budget", f"genfleet resume {status.job}")]
    made = forecast(status)
    budget = status.budget_usd or 0.0
    # It may have stopped below what it will probably cost, as the most that a call can cost must fit.
    more = enough(max(budget, made.cost_usd if made else 2 * budget))
    why = f"Stopped by the budget of {as_budget(budget)}; it goes on with a higher one"
    return [Step(why, f"genfleet resume {status.job} --budget {more}")]


def enough(cost_usd: float) -> str:
    """A budget into which such a cost fits with a tenth to spare, in two figures."""
    asked = cost_usd * 1.1
    if asked <= 0:
        return "USD"
    digits = 1 - math.floor(math.log10(asked))
    size = 10.0**digits
    return f"{math.ceil(asked * size - 1e-9) / size:.{max(0, digits)}f}"
