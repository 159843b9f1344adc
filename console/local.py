"""A job on this machine alone: what is not running is started, and all that was started ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import redis as redis_py
from kombu.exceptions import OperationalError

from config import folders
from config.errors import UserError
from console.following import follow, shown_meanwhile
from console.interrupts import Interrupts, interrupts
from console.progress import Progress
from console.reading.watching import Watcher
from ledger import fleet
from ledger.collector import Collector
from ledger.connection import Redis
from ledger.jobs import AT_REST
from ledger.status import Status, status_of
from producers import submission
from producers.plan import Plan
from workers.supervisor import Supervisor


class Feeder:
    """Enqueues a job in a thread, so that its progress can be shown meanwhile."""

    def __init__(self, redis: Redis, planned: Plan) -> None:
        self._redis = redis
        self._planned = planned
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._feed, name="feeder", daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        try:
            submission.feed(self._redis, self._planned, stop=self._stop)
        except Exception as error:  # it is raised where the thread is looked after
            self._error = error

    def check(self) -> None:
        """Raises what ended it early; where that was the broker's absence, it goes on."""
        error, self._error = self._error, None
        if isinstance(error, redis_py.ConnectionError | redis_py.TimeoutError | OperationalError):
            self._start()
        elif error is not None:
            raise error

    def close(self) -> None:
        """Stops it in order, so that whoever comes next may go on at once."""
        self._stop.set()
        self._thread.join()


@contextlib.contextmanager
def workers_here(redis: Redis, models: list[str], processes: int, concurrency: int, seen: Interrupts) -> Iterator[None]:
    """Worker processes of this machine, their logs in the data folder."""
    supervisor = Supervisor(redis, models, processes, concurrency, folders.logs())
    watch = threading.Thread(target=supervisor.run, name="supervisor")
    watch.start()
    try:
        yield
    finally:
        supervisor.stop()
        before = seen.count
        while watch.is_alive():
            watch.join(0.1)
            if seen.count > before:
                supervisor.stop()
                before = seen.count


def run_here(
    redis: Redis,
    planned: Plan,
    *,
    budget_usd: float | None,
    priority: float | None = None,
    processes: int | None,
    concurrency: int,
    progress: Progress,
) -> Status:
    """Submits the job, makes it with workers of this machine (or the fleet's, where it has any), and collects it.

    `processes` are started here; None starts two as soon as the fleet has no living worker.

    Raises:
        UserError: the budget is no amount, another producer enqueues the job, or its results go elsewhere.
    """
    job, model = planned.id, planned.model.name
    # Two stacks: what ends the job's work is shown until it has ended.
    with interrupts() as seen, contextlib.ExitStack() as shown, contextlib.ExitStack() as stack:
        collector = Collector(redis, job, folders.job(job))
        stack.callback(collector.stop)
        collector.start()
        if not submission.start(redis, planned, budget_usd, priority):
            progress.say(f"{job} is complete already: its results are in {folders.job(job)}.")
        else:
            count = processes
            if count:
                stack.enter_context(workers_here(redis, [model], count, concurrency, seen))
            progress.starting = count is None or count > 0
            feeder = Feeder(redis, planned)
            stack.callback(feeder.close)

            def look() -> None:
                nonlocal count
                feeder.check()
                # Workers that were there may leave before the job is complete, such as those of another run.
                if count is None and not fleet.alive(redis):
                    count = 2
                    stack.enter_context(workers_here(redis, [model], count, concurrency, seen))

            status = follow(redis, job, progress, seen, look)
            if seen.count and status.state not in AT_REST:
                progress.say("Stopping: calls in flight may end; Ctrl-C again stops at once.")
                shown.enter_context(shown_meanwhile(redis, job, progress))
    status = status_of(redis, job)
    progress.show(Watcher(redis, job).read(status), last=True)
    if status.uncollected:
        raise UserError(f"{status.uncollected} results of {job} are still to be collected: genfleet collect {job}")
    return status
