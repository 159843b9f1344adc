"""The ledger at one moment, as the metrics need it: few round trips, however many jobs there are."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import get_args

from redis.exceptions import ResponseError

from config.models import models
from console.reading.model import model_now
from console.reading.workers import Worker, workers_now
from ledger import budget, fleet, jobs, keys, latency
from ledger.budget import Books
from ledger.connection import Redis, clock
from ledger.damaged import Damaged, amount
from ledger.history import ModelReading
from ledger.jobs import State
from ledger.latency import Latencies
from ledger.status import Status, statuses_of
from workers.app import job_queue

#: The most jobs that are shown one by one, and how long ones at rest are.
MOST_JOBS, REST_SECONDS = 200, 86_400.0
STATES: tuple[State, ...] = get_args(State)
_STATES = {state.encode() for state in STATES}


@dataclass(frozen=True)
class Snapshot:
    """The ledger at one moment.

    Attributes:
        states: of all jobs, how many are in each.
        jobs: those that run or have come to rest lately, the newest first.
        queued: by job, the tasks in its queue.
        models: by name.
        admitted: by model, calls so far.
        latencies: by model.
        workers: the living ones.
        dead: names of those that have fallen silent without leaving.
        books: the fleet's money of today; None where they cannot be read.
    """

    states: Counter[str]
    jobs: list[Status]
    queued: dict[str, int]
    models: dict[str, ModelReading]
    admitted: dict[str, int]
    latencies: dict[str, Latencies]
    workers: list[Worker]
    dead: list[str]
    books: Books | None


def snapshot(redis: Redis) -> Snapshot:
    """Reads it; what cannot be read is left out. Raises redis.RedisError."""
    states, chosen = _chosen(redis)
    found = statuses_of(redis, chosen)
    names = list(dict.fromkeys([*models(), *(one.model for one in found)]))
    with redis.pipeline(transaction=False) as pipe:
        for one in found:
            pipe.llen(job_queue(one.model, one.job))
        for name in names:
            pipe.hget(keys.model(name), "admitted")
        replies = pipe.execute(raise_on_error=False)
    lengths, admitted = replies[: len(found)], replies[len(found) :]
    books = None
    with suppress(Damaged):
        books = budget.read(redis)
    return Snapshot(
        states=states,
        jobs=found,
        queued={one.job: tasks for one, tasks in zip(found, lengths, strict=True) if isinstance(tasks, int)},
        models=_models(redis, names),
        admitted={
            name: int(amount(calls) or 0)
            for name, calls in zip(names, admitted, strict=True)
            if calls is None or isinstance(calls, bytes)
        },
        latencies=latency.read(redis, names),
        workers=workers_now(redis),
        dead=fleet.dead(redis),
        books=books,
    )


def _chosen(redis: Redis) -> tuple[Counter[str], list[str]]:
    """How many jobs are in each state, and those to show one by one."""
    names, now = jobs.ids(redis), clock(redis)
    with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hmget(keys.job(name), "state", "last_at", "ended_at")
        replies = pipe.execute(raise_on_error=False)
    states, running, resting = Counter[str](), [], []
    for name, reply in zip(names, replies, strict=True):
        if not isinstance(reply, list) or reply[0] not in _STATES:
            continue
        states[reply[0].decode()] += 1
        if reply[0] == b"running":
            running.append(name)
        elif max(amount(reply[1]) or 0.0, amount(reply[2]) or 0.0) / 1e6 > now - REST_SECONDS:
            resting.append(name)
    return states, [*running, *resting][:MOST_JOBS]


def _models(redis: Redis, names: list[str]) -> dict[str, ModelReading]:
    found = {}
    for name in names:
        with suppress(ResponseError):  # a record of another kind
            found[name] = model_now(redis, name)
    return found
