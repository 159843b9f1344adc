"""The queues that a process takes: those of the jobs that run, and no others."""

from __future__ import annotations

from typing import Any

from kombu import Exchange, Queue

from ledger.connection import Redis
from ledger.jobs import Running
from ledger.keys import job as job_key
from workers.app import job_queue, task_name
from workers.turns import turns

# Keys: job, its queue. What is left in the queue of a job at rest is on the job's list all the same.
_DROP = "if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return redis.call('DEL', KEYS[2]) end return 0"


def taken_here(consumer: Any, jobs: dict[str, Running]) -> dict[str, Running]:
    """Those of the jobs whose model's own queue, which `-Q` chooses, this consumer takes."""
    taken = consumer.app.amqp.queues.consume_from
    return {name: job for name, job in jobs.items() if task_name(job.model) in taken}


def consumed(consumer: Any, jobs: dict[str, Running]) -> None:
    """Makes Celery's consumer take the queues of these jobs and no others, on its own thread."""
    turns.keep(jobs)
    taken = set(consumer.app.amqp.queues.consume_from)
    wanted = {job_queue(job.model, name) for name, job in jobs.items()}
    cset = consumer.task_consumer
    for queue in sorted(wanted):
        if not cset.consuming_from(queue):
            cset.add_queue(Queue(queue, Exchange(""), queue))
            cset.consume()
    for queue in [queue.name for queue in cset.queues if queue.name not in wanted and queue.name not in taken]:
        cset.cancel_by_queue(queue)


def drop(redis: Redis, model: str, job: str) -> None:
    """Deletes what is left in the queue of a job at rest."""
    redis.eval(_DROP, 2, job_key(job), job_queue(model, job))
