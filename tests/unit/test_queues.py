"""Which queue a process asks next, and how it is woken when there is room again."""

from __future__ import annotations

import selectors
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ledger.jobs import Running
from workers.app import job_queue, task_name
from workers.turns import READY, Turns
from workers.waker import Waker

MODEL = "maker/model"
BASE = task_name(MODEL)


def turns_of(**weights: float) -> tuple[Turns, list[str]]:
    """Turns among jobs of these weights, and all queues that a process asks, the model's own among them."""
    turns = Turns()
    turns.places = 100
    turns.keep({job: Running(MODEL, weight) for job, weight in weights.items()})
    return turns, [BASE, *(job_queue(MODEL, job) for job in weights)]


def first_job(turns: Turns, queues: list[str]) -> str:
    """The job of the first queue in the order that has one, as if every job's queue held messages."""
    queue = next(queue for queue in turns.order(queues) if queue != BASE)
    return took(turns, queue)


def took(turns: Turns, queue: str) -> str:
    """A task is taken of the queue, reaches its place, and is admitted there at once."""
    job = queue.rpartition(":")[2]
    turns.taken(queue)
    turns.arrived(job)
    return job


@given(weights=st.lists(st.sampled_from([0.1, 1.0, 2.5, 7.0, 100.0]), min_size=2, max_size=5))
def test_jobs_are_taken_by_their_weights(weights: list[float]) -> None:
    """Of many tasks each job has its weight's share, whatever the weights, within one task's worth each."""
    turns, queues = turns_of(**{f"j{n}": weight for n, weight in enumerate(weights)})
    taken = Counter(first_job(turns, queues) for _ in range(600))
    for n, weight in enumerate(weights):
        assert abs(taken[f"j{n}"] - 600 * weight / sum(weights)) <= len(weights) + weight / min(weights)


def test_an_idle_job_saves_up_no_turns() -> None:
    """A job whose queue was empty for long takes its share from then on, not all that it missed."""
    turns, queues = turns_of(a=1, b=1)
    for _ in range(1_000):
        took(turns, job_queue(MODEL, "a"))
    taken = Counter(first_job(turns, queues) for _ in range(100))
    assert 49 <= taken["b"] <= 51


def test_what_waits_is_not_added_to() -> None:
    """A job of which enough waits is left out, and with it queues that are usually empty and would block the rest."""
    turns, queues = turns_of(a=1, b=1)
    waiting = Counter(a=READY)
    turns.in_line, turns.idle = waiting.__getitem__, lambda: waiting
    assert turns.order(queues) == [job_queue(MODEL, "b")]
    waiting["b"] = READY
    assert turns.order(queues) == []
    waiting.clear()
    assert set(turns.order(queues)) == set(queues)


def test_tasks_on_their_way_count_as_waiting() -> None:
    """Tasks that were taken and have not reached their place yet are not forgotten meanwhile."""
    turns, queues = turns_of(a=1)
    for _ in range(READY):
        turns.taken(job_queue(MODEL, "a"))
    assert turns.order(queues) == []
    turns.arrived("a")
    assert set(turns.order(queues)) == set(queues)


@given(idle=st.lists(st.integers(0, 60), min_size=2, max_size=4), places=st.integers(1, 200))
def test_idle_tasks_leave_places_to_other_models(idle: list[int], places: int) -> None:
    """Of each model a process holds no more idle tasks than its part of half the places; others are still taken."""
    turns = Turns()
    turns.places = places
    jobs = {f"j{n}": Running(f"maker/m{n}", 1) for n in range(len(idle))}
    turns.keep(jobs)
    held = Counter({f"j{n}": count for n, count in enumerate(idle)})
    turns.idle = lambda: held
    room = max(1, places // 2 // len(idle))
    ready = turns.order(job_queue(running.model, job) for job, running in jobs.items())
    assert set(ready) == {job_queue(jobs[job].model, job) for job in jobs if held[job] < room}
    assert turns.too_many(jobs) == {job: held[job] - room for job in jobs if held[job] > room}


def test_jobs_come_and_go() -> None:
    """A job that is new begins with the others, one that is gone is forgotten, and a weight may change."""
    turns, queues = turns_of(a=1, b=1)
    for _ in range(50):
        first_job(turns, queues)
    turns.keep({"b": Running(MODEL, 1), "c": Running(MODEL, 3)})
    queues = [job_queue(MODEL, job) for job in ("b", "c")]
    taken = Counter(first_job(turns, queues) for _ in range(400))
    assert 298 <= taken["c"] <= 302


class Hub:
    """What the waker needs of Celery's event loop: to be told when a socket can be read."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()

    def add_reader(self, socket: object, callback: object) -> None:
        self.selector.register(socket, selectors.EVENT_READ, callback)  # type: ignore[arg-type]

    def turn(self) -> int:
        """Calls what can be read, without waiting, and says how many sockets that were."""
        ready = self.selector.select(0)
        for key, _ in ready:
            key.data()
        return len(ready)


def test_a_waker_wakes_once_for_many_calls() -> None:
    """However often it is woken, and more often than a socket holds, the loop has one thing to read, then none."""
    hub, waker = Hub(), Waker()
    waker.listen(hub)
    assert hub.turn() == 0
    for _ in range(5_000):
        waker.wake()
    assert hub.turn() == 1
    assert hub.turn() == 0
    waker.wake()
    assert hub.turn() == 1
    hub.selector.close()
    waker.close()
