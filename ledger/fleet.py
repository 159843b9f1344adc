"""Who is in the fleet: heartbeats, and what becomes of a dead worker's examples."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from ledger import keys
from ledger.connection import Redis
from ledger.damaged import Damaged, job_name, reading
from ledger.scripts import script_text

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 15.0
"""How long a heartbeat lasts, by the server's clock."""
_KEPT_SECONDS = 3600

Unit = tuple[str, int]
"""A job's id and the number of one of its tasks."""


def beat(redis: Redis, worker: str, waiting: Iterable[Unit]) -> None:
    """This worker lives, and holds these examples without a lease on them. The server's clock ends it."""
    with redis.pipeline() as pipe:
        pipe.set(keys.worker(worker), "alive", px=int(DEAD_AFTER_SECONDS * 1000))
        pipe.set(keys.worker(worker, "waiting"), json.dumps([list(unit) for unit in waiting]), ex=_KEPT_SECONDS)
        pipe.sadd(keys.WORKERS, worker)
        pipe.execute()


def alive(redis: Redis) -> dict[str, list[Unit]]:
    """The living workers with the examples each holds without a lease."""
    names = sorted(_joined(redis))
    if not names:
        return {}
    beats = redis.mget([keys.worker(name) for name in names])
    waiting = redis.mget([keys.worker(name, "waiting") for name in names])
    return {name: _units(text) for name, beat, text in zip(names, beats, waiting, strict=True) if beat is not None}


def _joined(redis: Redis) -> set[str]:
    return {name.decode() for name in redis.smembers(keys.WORKERS) if name.isascii()}


def _units(text: bytes | None) -> list[Unit]:
    """What a worker has said that it holds; nothing where that cannot be read: it is found when its queue runs dry."""
    with suppress(Damaged), reading("what a worker holds"):
        units = [(job_name(job), int(unit)) for job, unit in json.loads(text or "[]")]
        return [(job, unit) for job, unit in units if job is not None]
    return []


def dead(redis: Redis) -> list[str]:
    """Workers that joined, have not left, and whose heartbeat has run out."""
    return sorted(_joined(redis) - set(alive(redis)))


def reap(redis: Redis, worker: str, *, now: bool = False) -> list[Unit]:
    """Ends a dead worker's leases and names the examples it held; `now` ends a worker that still beats.

    An example that it took up after its last heartbeat is not among them: it is found when its queue runs dry.
    """
    waiting = _units(redis.get(keys.worker(worker, "waiting")))
    script = redis.register_script(script_text("reap"))
    ended = script(
        keys=[keys.WORKERS, keys.worker(worker), keys.worker(worker, "leases")],
        args=[worker, keys.PREFIX, "now" if now else "", datetime.now(UTC).isoformat(timespec="milliseconds")],
    )
    if not ended and not now and redis.exists(keys.worker(worker)):
        return []
    leased = [unit.decode().split(" ", 1) for unit in ended]
    return [(job, int(unit)) for job, unit in leased] + waiting
