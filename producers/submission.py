"""A planned job to its queue, in pieces that survive any interruption."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Callable
from itertools import islice

from config.money import to_nano_usd
from config.settings import settings
from ledger import budget, jobs, limits, todo
from ledger.connection import Redis
from producers.plan import Plan, SubmitError
from workers.app import job_queue
from workers.sending import BATCH, announce, enqueue

Progress = Callable[[int, int], None]
"""Called with the tasks enqueued so far and the tasks in all."""

PRIORITY_LEAST, PRIORITY_MOST = 0.01, 1000.0


def start(redis: Redis, planned: Plan, budget_usd: float | str | None = None, priority: float | None = None) -> bool:
    """Makes the job known, or running again where it rests; False where it is complete already.

    Args:
        priority: the job's weight among those of its model: twice as much is twice the calls; None leaves it, at 1.

    Raises:
        SubmitError: the budget is no amount of money, or the priority no weight.
    """
    _check(budget_usd, priority)
    limits.declare(redis, planned.model)
    jobs.create(redis, planned.id, planned.spec, planned.model, planned.candidates, planned.units)
    adjust(redis, planned.id, budget_usd, priority)
    budget.declare(redis)
    announce()
    if jobs.state(redis, planned.id) == "complete":
        return False
    resume(redis, planned.id)
    return True


def adjust(redis: Redis, job: str, budget_usd: float | str | None = None, priority: float | None = None) -> None:
    """Gives the job another budget or priority, where one is given; as for `start`."""
    _check(budget_usd, priority)
    if budget_usd is not None:
        jobs.set_budget(redis, job, to_nano_usd(budget_usd))
    if priority is not None:
        jobs.set_weight(redis, job, priority)


def _check(budget_usd: float | str | None, priority: float | None) -> None:
    if budget_usd is not None and (not math.isfinite(float(budget_usd)) or float(budget_usd) <= 0):
        raise SubmitError(f"budget: {budget_usd} is no amount of dollars above 0.")
    if priority is not None and not PRIORITY_LEAST <= priority <= PRIORITY_MOST:
        raise SubmitError(f"priority: {priority:g} is not between {PRIORITY_LEAST:g} and {PRIORITY_MOST:g}.")


def resume(redis: Redis, job: str) -> int:
    """Sets a resting job running and enqueues what is on its list; says how many tasks."""
    if jobs.state(redis, job) in ("running", "complete"):
        # What a running job lost its messages of, a worker's janitor enqueues.
        return 0
    jobs.set_state(redis, job, "running")
    announce()
    return enqueue(jobs.spec(redis, job).model, job, todo.named(redis, job, todo.unsettled(redis, job)))


def feed(redis: Redis, planned: Plan, progress: Progress | None = None, stop: threading.Event | None = None) -> int:
    """Enqueues what of the job is not enqueued yet, and says how many tasks.

    Above GENFLEET_QUEUE_DEPTH waiting messages it waits for the workers, so that a million examples need no more
    memory than ten thousand. It may be stopped anywhere and begun again: the cursor is in the ledger. Another thread
    stops it by `stop`.

    Raises:
        BeingSubmitted: another producer is at it.
    """
    job, queue = planned.id, job_queue(planned.model.name, planned.id)
    me = f"{socket.gethostname()}-{os.getpid()}-{id(planned)}"
    todo.hold(redis, job, me)
    sent, stop = 0, stop or threading.Event()
    try:
        items = islice(planned.items(), todo.cursor(redis, job), None)
        while chunk := list(islice(items, min(BATCH, settings().queue_depth))):
            todo.hold(redis, job, me)
            todo.register(redis, job, planned.spec, chunk)
            sent += enqueue(planned.model.name, job, ((item.unit, item.name(planned.spec)) for item in chunk))
            if progress is not None:
                progress(chunk[-1].unit + 1, planned.units)
            if settings().batch_delay_ms:
                stop.wait(settings().batch_delay_ms / 1000 * math.ceil(len(chunk) / 100))
            while redis.llen(queue) >= settings().queue_depth:
                todo.hold(redis, job, me)
                if stop.wait(0.2) or jobs.state(redis, job) != "running":
                    return sent
            if stop.is_set() or jobs.state(redis, job) != "running":
                return sent
    finally:
        todo.let_go(redis, job, me)
    return sent
