"""Which task a process takes next: each running job has a queue of its own, and they take turns by weight.

A task that a process holds waits there for admission, in one of its places. So it takes no more tasks of a job than can
soon start: what waits for one model's limit keeps no place from another's, and a small job is not behind a large one.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic

from kombu.utils.scheduling import round_robin_cycle

from ledger.jobs import Running
from workers.app import job_queue

READY = 20
"""Tasks of a job that wait in this process for admission, above which it takes no more of them."""
AT_ONCE = 10
"""Tasks taken at once from one queue: more would wait in this process while another has room."""
_COMING_SECONDS = 5.0


@dataclass
class _Share:
    weight: float = 1.0
    turn: float = 0.0


class Turns:
    """The order in which this process asks its queues, by start-time fair queueing.

    Attributes:
        places: of this process; each holds one task. Without calls in flight, tasks of all models together hold half
            of them, and those of each model as much as of any other.
        ahead: tasks that this process takes beyond its places, and the fewest that it asks for. They wait for a place.
        in_line: how many tasks of a job wait in this process for admission.
        asked_at: when Celery last asked which queues to take from, on the monotonic clock.
        idle: by job, how many tasks this process holds without a call in flight.
    """

    def __init__(self) -> None:
        self.places = 2 * READY
        self.ahead = 0
        self.in_line: Callable[[str], int] = lambda job: 0
        self.idle: Callable[[], Counter[str]] = Counter
        self.asked_at = monotonic()
        self._running: dict[str, Running] = {}
        self._jobs: dict[str, str] = {}
        self._shares: dict[str, _Share] = {}
        self._coming: dict[str, deque[float]] = {}
        self._models: Counter[str] = Counter()
        self._held_back: set[str] = set()
        self._turn = 0.0

    def keep(self, jobs: dict[str, Running]) -> None:
        """Takes turns among the queues of these jobs, by their weights."""
        queues = {job_queue(running.model, job): (job, running.weight) for job, running in jobs.items()}
        self._shares = {queue: self._shares.get(queue, _Share()) for queue in queues}
        for queue, (_, weight) in queues.items():
            self._shares[queue].weight = weight
        self._jobs = {queue: job for queue, (job, _) in queues.items()}
        self._coming = {job: self._coming.get(job, deque()) for job in jobs}
        self._models = Counter(running.model for running in jobs.values())
        self._running = jobs

    def order(self, queues: Iterable[str]) -> list[str]:
        """Those of the queues that more is taken of, whose turn is first first."""
        self.asked_at = monotonic()
        full = self._full()
        self._held_back = {self._running[job].model for job in full}
        ready = [queue for queue in queues if self._jobs.get(queue) not in full]
        if full:
            # Asking queues that are usually empty would block, and keep us from those that soon have room again.
            ready = [queue for queue in ready if queue in self._jobs]
        return sorted(ready, key=self._turn_of)

    def taken(self, queue: str) -> None:
        """A task was taken from the queue: its next turn comes the later, the smaller its weight."""
        if (share := self._shares.get(queue)) is not None:
            self._turn = max(share.turn, self._turn)
            share.turn = self._turn + 1 / share.weight
            self._coming[self._jobs[queue]].append(monotonic())

    def arrived(self, job: str) -> None:
        """A task that was taken has reached its place, and is counted there from now on."""
        with contextlib.suppress(KeyError, IndexError):  # its job rests, or it took long
            self._coming[job].popleft()

    def holds_back(self, job: str) -> bool:
        """Whether tasks of the job's model were left in their queues when the queues were last asked."""
        running = self._running.get(job)
        return running is not None and running.model in self._held_back

    def too_many(self, jobs: dict[str, Running]) -> dict[str, int]:
        """By job, how many of the tasks that this process holds idle keep places from other models' tasks."""
        excess: dict[str, int] = {}
        models, idle = {running.model for running in jobs.values()}, self.idle()
        for model in models if len(models) > 1 else ():
            of_model = [job for job, running in jobs.items() if running.model == model]
            over = sum(idle[job] for job in of_model) - self._room(len(models))
            for job in sorted(of_model, key=lambda job: -idle[job]):
                if over > 0 and idle[job] > 1:
                    excess[job] = min(over, idle[job] - 1)
                    over -= excess[job]
        return excess

    def _full(self) -> set[str]:
        """The jobs of which this process holds enough, and those of models of which it does."""
        room = self._room(len(self._models))
        idle = self.idle()
        idle.update({job: self._still_coming(job) for job in self._running})
        by_model = Counter[str]()
        for job, running in self._running.items():
            by_model[running.model] += idle[job]
        # One of each may always wait here: a job that comes when others fill the room has its turn too.
        return {
            job
            for job, running in self._running.items()
            if self._waiting(job) >= max(1, min(READY, room // self._models[running.model]))
            or (by_model[running.model] >= room and idle[job])
        }

    def _waiting(self, job: str) -> int:
        return self.in_line(job) + len(self._coming[job])

    def _room(self, models: int) -> int:
        """How many tasks of each of so many models may be held idle."""
        return max(1, self.places // 2 // max(1, models))

    def _still_coming(self, job: str) -> int:
        coming, long_ago = self._coming[job], monotonic() - _COMING_SECONDS
        while coming and coming[0] < long_ago:
            # Some never come: `celery control revoke` took them, or the broker went away.
            self.arrived(job)
        return len(coming)

    def _turn_of(self, queue: str) -> float:
        share = self._shares.get(queue)
        return self._turn if share is None else max(share.turn, self._turn)


turns = Turns()
"""Those of this process: kombu makes the cycle that asks them by its name alone."""


class TurnsCycle(round_robin_cycle):
    """kombu's `queue_order_strategy`: the queues in the order of `turns`."""

    def consume(self, n: int) -> list[str]:
        """The queues to ask next; none where enough waits of all."""
        return turns.order(self.items[:n])

    def rotate(self, last_used: str) -> str:
        """A message came from this queue."""
        turns.taken(last_used)
        return last_used
