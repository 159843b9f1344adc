"""What is said of a job before it is enqueued, without delaying or breaking anything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from config.logs import log, tell
from console.estimate_text import lines
from ledger import fleet
from ledger.connection import Redis
from ledger.status import status_of
from producers.estimate import Estimate, Known, estimate
from producers.known import look
from producers.plan import Plan, plan

_ROWS_SECONDS, _ALL_SECONDS = 1.0, 3.0
_PROCESSES = 2  # that run_here starts where the fleet has none


def planned_job(
    recipe: str, rows: str | None, count: int | None, model_id: str | None, seed: int, skip_bad_rows: Path | None
) -> Plan:
    """The job as it was asked for, checked whole; says on standard error where rows that cannot be used went.

    Raises:
        UserError: see `producers.plan.plan`.
    """
    planned = plan(recipe, count=count, rows=rows, model_id=model_id, seed=seed, skip_bad_rows=skip_bad_rows)
    if planned.bad_rows:
        tell(f"{planned.bad_rows} rows cannot be used: they and the reasons are in {skip_bad_rows}.")
    return planned


def say_before(
    say: Callable[[str], None],
    redis: Redis,
    planned: Plan,
    budget_usd: float | None,
    capacity: Callable[[], int | None] = lambda: None,
) -> None:
    """Says what is left of the job will probably cost and take; it takes 3 seconds at most and raises nothing.

    `capacity` is how many calls the workers can have in flight, if that is known.
    """
    found: list[tuple[Estimate, Known, int]] = []

    def work() -> None:
        try:
            known = look(redis, planned, capacity())
            if known.left == 0:
                return
            paid = 0 if known.left is None else status_of(redis, planned.id).cost_nano_usd
            found.append((estimate(planned, known, _ROWS_SECONDS), known, paid))
        except Exception as error:  # a job must not fail for what was only to be said of it
            log("estimate_missing", error=type(error).__name__)

    thread = threading.Thread(target=work, name="estimate", daemon=True)
    thread.start()
    thread.join(_ALL_SECONDS)
    for made, known, paid in found[:1]:
        for line in lines(made, known, planned, budget_usd, paid):
            say(line)


def capacity_here(redis: Redis | None, processes: int | None, concurrency: int) -> int | None:
    """Calls that the workers of `genfleet run` can have in flight; None where others' workers take part."""
    if redis is not None and fleet.alive(redis):
        return None
    return (_PROCESSES if processes is None else processes) * concurrency or None
