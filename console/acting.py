"""What people do to a job, in a terminal or in Flower: pause, cancel, resume, try rejected examples again."""

from __future__ import annotations

from ledger import jobs, todo
from ledger.connection import Redis
from ledger.status import Status, status_of
from producers import submission
from workers.queues import drop
from workers.sending import announce, enqueue


def rest(redis: Redis, job: str, state: jobs.State) -> Status:
    """Makes no more calls for the job: `paused` or `cancelled`; calls in flight end. Gives the reading after it."""
    jobs.set_state(redis, job, state)
    reading = status_of(redis, job)
    # Workers do so too, but there may be none.
    drop(redis, reading.model, job)
    return reading


def resume(redis: Redis, job: str, budget: float | None = None, priority: float | None = None) -> tuple[int, Status]:
    """Goes on with a job that rests, or changes one that runs; says how many tasks were enqueued.

    Raises:
        SubmitError: the budget is no amount of money, or the priority no weight.
    """
    submission.adjust(redis, job, budget, priority)
    return submission.resume(redis, job), status_of(redis, job)


def retry(redis: Redis, job: str, reason: str | None = None) -> int:
    """Enqueues the job's rejected examples again, or those rejected for `reason`; says how many tasks.

    A job that rests goes on with all of its list.
    """
    rests = jobs.state(redis, job) != "running"
    units = todo.reopen(redis, job, todo.rejected(redis, job, reason))
    if units:
        jobs.set_state(redis, job, "running")
        if rests:
            announce()
        # While it rested, the messages of the others were dropped.
        wanted = todo.unsettled(redis, job) if rests else units
        enqueue(status_of(redis, job).model, job, todo.named(redis, job, wanted))
    return len(units)


def missing(reading: Status) -> str:
    """What people are told who set a job going again that its producer has not enqueued to the end; else nothing."""
    rest = reading.state == "running" and reading.enqueued < reading.tasks
    return "Not all of it was enqueued yet: run its submit command again too." if rest else ""
