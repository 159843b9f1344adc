"""Sending tasks to a job's queue, and word of it to the workers. Cheap to import, as workers/app.py is."""

from __future__ import annotations

from collections.abc import Iterable

from kombu import Exchange, Queue

from config.logs import log
from workers import tracing
from workers.app import app, job_queue, task_name

BATCH = 1000


def enqueue(model: str, job: str, tasks: Iterable[tuple[int, str]]) -> int:
    """Sends one message per task to the job's queue, in pipelined batches, and says how many.

    A message that is sent twice, after a batch of which nobody knows whether it arrived, does no harm.

    Args:
        tasks: their numbers, each with its name for people, which Flower shows.

    Raises:
        kombu.exceptions.OperationalError: the broker is away.
    """
    task = app.tasks[task_name(model)]
    sent, queue = 0, Queue(job_queue(model, job), Exchange(""))
    with (
        tracing.span("enqueue", "PRODUCER", job=job, model=model) as span,
        app.producer_or_acquire() as producer,
        producer.batch(max_size=BATCH),
    ):
        headers = tracing.headers()
        for unit, name in tasks:
            task.apply_async(
                (job, unit),
                task_id=f"{job}-{unit}",
                producer=producer,
                queue=queue,
                declare=[],
                retry=False,
                argsrepr=f"{name or f'task {unit}'}, {model}",
                kwargsrepr="{}",
                headers=headers,
            )
            sent += 1
        span.set(count=sent)
    return sent


def announce() -> None:
    """Tells the workers that a job has begun to run, so that they need not find out with their next heartbeat."""
    try:
        app.control.broadcast("look_for_jobs")
    except app.connection_for_write().recoverable_connection_errors:
        log("job_unannounced")
