"""What is said of a job before it is enqueued, without delaying or breaking anything."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from console.estimate_text import lines
from ledger import fleet, jobs
from ledger.connection import Redis
from producers.estimate import Estimate, Known, estimate
from producers.known import look
from producers.submission import Plan

_ROWS_SECONDS, _ALL_SECONDS = 1.0, 3.0
_PROCESSES = 2  # that run_here starts where the fleet has none

log = logging.getLogger(__name__)


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
            paid = 0 if known.left is None else jobs.status(redis, planned.id).cost_nano_usd
            found.append((estimate(planned, known, _ROWS_SECONDS), known, paid))
        except Exception as error:  # a job must not fail for what was only to be said of it
            log.debug("no estimate: %s", type(error).__name__)

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
