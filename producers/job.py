"""A job in the hands of a script: `from producers import submit`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from config import folders
from config.settings import settings
from ledger.collector import Collector
from ledger.connection import Redis, fleet_broker
from ledger.jobs import AT_REST
from ledger.status import Status, status_of
from producers import submission
from producers.collected import read
from producers.plan import plan


class Job:
    """A submitted job. Its id is what the commands take: `genfleet watch ID`."""

    def __init__(self, job_id: str, redis: Redis, directory: Path) -> None:
        self.id = job_id
        self.directory = directory
        self._redis = redis

    def status(self) -> Status:
        """One reading of the job."""
        return status_of(self._redis, self.id)

    def wait(self, timeout: float | None = None) -> Status:
        """Waits until the job is complete or rests, and gives its last status.

        Raises:
            TimeoutError: it still runs after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.status()).state not in AT_REST:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"job {self.id} still runs after {timeout} s: {status.settled} of {status.total}.")
            time.sleep(0.5)
        return status

    def results(self) -> Iterator[dict[str, Any]]:
        """The accepted examples as they come, each once, until the job is complete or rests.

        They are collected to `directory` on the way, so that a script that is started again sees them all.
        """
        collector = Collector(self._redis, self.id, self.directory)
        seen = 0
        try:
            while True:
                rests = self.status().state in AT_REST
                collector.drain() if rests else collector.step()
                for example in collector.parts.iterate("accepted", skip=seen):
                    seen += 1
                    yield example
                if rests:
                    return
        finally:
            collector.close()


def submit(
    recipe: str,
    *,
    count: int | None = None,
    rows: str | Path | None = None,
    model: str | None = None,
    budget_usd: float | None = None,
    priority: float | None = None,
    seed: int = 0,
    skip_bad_rows: Path | None = None,
    redis_url: str | None = None,
    resume: Path | None = None,
) -> Job:
    """Checks a job and enqueues it, one Celery task per call; the same job again resumes it.

    After the broker has lost the job, `resume` is the folder that it was collected to: it goes on from there.

    It returns when the first GENFLEET_QUEUE_DEPTH tasks are on their way; what is beyond that is enqueued by a
    thread of this script as the workers make room.

    Raises:
        UserError: what is wrong with the recipe, the rows, the model, the key or the broker.
    """
    planned = plan(recipe, count=count, rows=rows, model_id=model, seed=seed, skip_bad_rows=skip_bad_rows)
    redis = fleet_broker("enqueuing for a fleet", redis_url)
    job = Job(planned.id, redis, folders.job(planned.id) if resume is None else resume)
    collected = None if resume is None else read(resume, planned.id, planned.spec)
    if not submission.start(redis, planned, budget_usd, priority, collected):
        return job
    feed = partial(submission.feed, redis, planned, collected=collected)
    if planned.units <= settings().queue_depth:
        feed()
    else:
        threading.Thread(target=feed, name=f"feed {planned.id}").start()
    return job
