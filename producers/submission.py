"""A planned job to its queue, in pieces that survive any interruption."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Callable
from functools import partial
from itertools import islice

from config import folders
from config.money import to_nano_usd
from config.settings import settings
from ledger import budget, jobs, limits, restored, todo
from ledger.connection import Redis
from ledger.parts import Parts
from producers.collected import Collected
from producers.plan import Plan, SubmitError
from workers.app import job_queue
from workers.sending import BATCH, announce, enqueue

Progress = Callable[[int, int], None]
"""Called with the tasks enqueued so far and the tasks in all."""

_ORPHANS_SECONDS = 3.0  # workers ask every two
PRIORITY_LEAST, PRIORITY_MOST = 0.01, 1000.0


def start(
    redis: Redis,
    planned: Plan,
    budget_usd: float | str | None = None,
    priority: float | None = None,
    collected: Collected | None = None,
) -> bool:
    """Makes the job known, or running again where it rests; False where it is complete already.

    Args:
        priority: the job's weight among those of its model: twice as much is twice the calls; None leaves it, at 1.
        collected: what of it was collected before the broker lost it.

    Raises:
        SubmitError: the budget is no amount of money, the priority no weight, or the broker has lost the job.
        StillThere, ClockBehind: see `ledger.restored.restore`.
        BeingSubmitted: another producer is at it.
    """
    _check(budget_usd, priority)
    if collected is None:
        _not_lost(redis, planned)
    limits.declare(redis, planned.model)
    jobs.create(redis, planned.id, planned.spec, planned.model, planned.candidates, planned.units)
    if collected is not None:
        todo.hold(redis, planned.id, _me(planned))
        restored.restore(redis, planned.id, collected.books, collected.last)
    adjust(redis, planned.id, budget_usd, priority)
    budget.declare(redis)
    announce()
    if jobs.state(redis, planned.id) == "complete":
        return False
    resume(redis, planned.id)
    return True


def _not_lost(redis: Redis, planned: Plan) -> None:
    """Refuses to begin a job again of which results are here: each would be paid for and collected twice."""
    folder, job = folders.job(planned.id), planned.id
    if restored.restored(redis, job):
        if todo.cursor(redis, job) < planned.units:
            raise SubmitError(
                f"{job} goes on from its part files: submit it with --resume and their folder, as before."
            )
    elif not restored.known(redis, job) and Parts(folder).count("attempts"):
        raise SubmitError(
            f"results of {job} are in {folder}, and the broker knows nothing of it: submit it with --resume {folder} "
            "to go on from there, or move the folder away to pay for all of it again."
        )


def _me(planned: Plan) -> str:
    """Who this producer is to others of the same job."""
    return f"{socket.gethostname()}-{os.getpid()}-{id(planned)}"


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


def feed(
    redis: Redis,
    planned: Plan,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    collected: Collected | None = None,
) -> int:
    """Enqueues what of the job is not enqueued yet, and says how many tasks.

    Above GENFLEET_QUEUE_DEPTH waiting messages it waits for the workers, so that a million examples need no more
    memory than ten thousand. It may be stopped anywhere and begun again: the cursor is in the ledger. Another thread
    stops it by `stop`. What was `collected` before the broker lost the job is passed over.

    Raises:
        BeingSubmitted: another producer is at it.
    """
    job, queue = planned.id, job_queue(planned.model.name, planned.id)
    me = _me(planned)
    todo.hold(redis, job, me)
    sent, stop = 0, stop or threading.Event()
    try:
        items = islice(planned.items(), todo.cursor(redis, job), None)
        while chunk := list(islice(items, min(BATCH, settings().queue_depth))):
            todo.hold(redis, job, me)
            left = _registered(redis, planned, chunk, collected)
            if collected is not None and left and not sent:
                # Workers that had calls in flight when the broker lost the job bring their answers first.
                stop.wait(_ORPHANS_SECONDS)
            sent += enqueue(planned.model.name, job, ((item.unit, item.name(planned.spec)) for item in left))
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
        if collected is not None:
            # Where nothing was left to make, no settlement says that it is complete.
            jobs.set_state(redis, job, "running")
    finally:
        todo.let_go(redis, job, me)
    return sent


def _registered(redis: Redis, planned: Plan, chunk: list[todo.Item], collected: Collected | None) -> list[todo.Item]:
    """Puts tasks on the job's list, but for those that were collected, and gives those."""
    job, spec = planned.id, planned.spec
    if collected is None:
        todo.register(redis, job, spec, chunk)
        return chunk
    worst_in, worst_out = planned.worst_nano_usd
    passed = []
    for item in chunk:
        recipe, unknown, reason = spec.recipes[item.recipe], collected.unknown[item.unit], collected.reason(item)
        if unknown or reason is not None:
            most = item.prompt_bytes * worst_in + recipe.max_tokens_per_call * worst_out
            passed.append(restored.Passed(item.unit, item.to_todo(recipe), reason, unknown, most))
    left = [item for item in chunk if not collected.has(item)]
    also = partial(restored.pass_over, job=job, tasks=passed)
    todo.register(redis, job, spec, left, cursor=chunk[-1].unit + 1, also=also)
    return left
