"""The janitor: takes a dead worker's examples back, and finds messages that the broker lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from time import monotonic

from config.logs import log
from ledger import fleet, history, jobs, keys, todo
from ledger.connection import Redis
from ledger.fleet import Unit
from workers.app import job_queue
from workers.sending import enqueue

_LOCK_SECONDS = 20

# Keys: a queue, whose next message stands at its right end. Arguments: how many of the latest become the next.
_FIRST = "for _ = 1, ARGV[1] do redis.call('LMOVE', KEYS[1], KEYS[1], 'LEFT', 'RIGHT') end"
_FIRST_MOST = 10_000


def enqueue_again(redis: Redis, units: Iterable[Unit]) -> int:
    """Sends messages for examples that lost theirs, those of jobs that run; says how many."""
    by_job: dict[str, list[int]] = defaultdict(list)
    for job, unit in units:
        by_job[job].append(unit)
    sent = 0
    models = jobs.running(redis)
    for job, numbers in by_job.items():
        if job in models:
            sent += enqueue(models[job].model, job, todo.named(redis, job, numbers))
            # What was begun comes before what waits: a long queue would keep it for hours.
            redis.eval(_FIRST, 1, job_queue(models[job].model, job), min(len(numbers), _FIRST_MOST))
    return sent


class Janitor:
    """Works in every worker process; of all of them one at a time sweeps."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = monotonic) -> None:
        self._redis = redis
        self._clock = clock
        self._missing_since: dict[Unit, float] = {}
        self._keeps_house = False

    def work(self, worker: str, waiting: list[Unit], *, silent: bool = False) -> None:
        """One round: beats this worker's heart, and sweeps and takes readings if no other worker does."""
        fleet.beat(self._redis, worker, waiting, silent=silent)
        # Set in every round, so that whoever keeps house notices that the broker takes no writes.
        self._keeps_house = bool(
            self._redis.set(keys.JANITOR, worker, nx=True, ex=_LOCK_SECONDS)
            or self._redis.get(keys.JANITOR) == worker.encode()
        )
        if self._keeps_house:
            self._redis.expire(keys.JANITOR, _LOCK_SECONDS)
            self.sweep()
            history.record(self._redis)

    def bury(self) -> None:
        """Ends the leases of the dead, if this worker keeps house; between two rounds too, so that they wait less."""
        # Asked in this order: between the two, the first heart after a silence of all may be heard.
        judges = self._keeps_house and fleet.heard(self._redis)
        for worker in fleet.dead(self._redis) if judges else ():
            units = fleet.reap(self._redis, worker)
            log("worker_gone", worker=worker, count=len(units))
            enqueue_again(self._redis, units)

    def sweep(self) -> None:
        """Ends the leases of the dead; enqueues again what is on a list but neither queued nor held by anyone."""
        self.bury()
        if lost := self.lost():
            log("messages_lost", count=len(lost))
            enqueue_again(self._redis, lost)

    def lost(self) -> set[Unit]:
        """What has no message and no worker any more, as far as that was seen in this round and those before.

        Rounds may follow one another within milliseconds. A worker tells what it holds with its heartbeat, and whoever
        lives has told it within the time that one lasts: what is missing for as long is held by nobody.
        """
        missing, now = self._missing(), self._clock()
        since = {unit: self._missing_since.get(unit, now) for unit in missing}
        lost = {unit for unit, first in since.items() if now - first >= fleet.DEAD_AFTER_SECONDS}
        self._missing_since = {unit: first for unit, first in since.items() if unit not in lost}
        return lost

    def _missing(self) -> set[Unit]:
        """What is on a list and, as far as is known now, neither queued nor held by anyone."""
        held = {unit for units in fleet.alive(self._redis).values() for unit in units}
        missing: set[Unit] = set()
        for job, running in jobs.running(self._redis).items():
            if self._redis.llen(job_queue(running.model, job)) == 0:
                missing |= {(job, unit) for unit in todo.unsettled(self._redis, job)} - held
        return missing
