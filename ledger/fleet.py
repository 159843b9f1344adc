"""Who is in the fleet: heartbeats, and what becomes of a dead worker's examples."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from ledger import keys
from ledger.connection import Redis, clock
from ledger.damaged import Damaged, job_name, reading
from ledger.scripts import script_text

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 15.0
"""How long a heartbeat lasts, by the server's clock."""
_KEPT_SECONDS = 3600
#: In the place of a heartbeat that has run out, of a worker that was granted a call since; see admit.lua.
_ASKING = b"asking"
#: No heart for so long, and a living worker's may have run out; so long after it, all that live have beaten again.
_SILENCE_SECONDS = DEAD_AFTER_SECONDS - HEARTBEAT_SECONDS
_AFTER_SILENCE_SECONDS = DEAD_AFTER_SECONDS

Unit = tuple[str, int]
"""A job's id and the number of one of its tasks."""


def beat(redis: Redis, worker: str, waiting: Iterable[Unit], *, silent: bool = False) -> None:
    """This worker lives, and holds these examples without a lease on them. The server's clock ends it.

    `silent`: it takes no tasks any more, and does not know why.
    """
    held = json.dumps([list(unit) for unit in waiting])
    times = (DEAD_AFTER_SECONDS, _KEPT_SECONDS, _SILENCE_SECONDS, _AFTER_SILENCE_SECONDS)
    lasts, kept, silence, after = (int(seconds * 1000) for seconds in times)
    redis.register_script(script_text("beat"))(
        keys=[keys.worker(worker), keys.worker(worker, "waiting"), keys.WORKERS, keys.HEARD, keys.SILENCE],
        args=[worker, "silent" if silent else "alive", lasts, held, kept, silence, after],
    )


def alive(redis: Redis) -> dict[str, list[Unit]]:
    """The living workers with the examples each holds without a lease."""
    names = sorted(_joined(redis))
    if not names:
        return {}
    beats = redis.mget([keys.worker(name) for name in names])
    waiting = redis.mget([keys.worker(name, "waiting") for name in names])
    living = [(name, beat, text) for name, beat, text in zip(names, beats, waiting, strict=True) if beat is not None]
    return {name: [] if beat == _ASKING else _units(text) for name, beat, text in living}


def _joined(redis: Redis) -> set[str]:
    return {name.decode() for name in redis.smembers(keys.WORKERS) if name.isascii()}


def _units(text: bytes | None) -> list[Unit]:
    """What a worker has said that it holds; nothing where that cannot be read: it is found when its queue runs dry."""
    with suppress(Damaged), reading("what a worker holds"):
        units = [(job_name(job), int(unit)) for job, unit in json.loads(text or "[]")]
        return [(job, unit) for job, unit in units if job is not None]
    return []


def heard(redis: Redis) -> bool:
    """Whether any heart was heard lately; if none was, nobody can tell the dead from those that were cut off."""
    return bool(redis.exists(keys.HEARD))


def dead(redis: Redis) -> list[str]:
    """Workers that joined, have not left, and whose heartbeat has run out.

    After the broker was away all hearts have run out, and the first to be heard again must not bury the others.
    """
    if redis.exists(keys.SILENCE):
        return []
    return sorted(_joined(redis) - set(alive(redis)))


def hearts(redis: Redis, workers: list[str]) -> list[str | None]:
    """What each worker's heartbeat says, alive or silent; None where there is none.

    A worker whose heart has run out, and which was granted a call since, lives for the janitor alone.

    Raises:
        redis.RedisError: the broker is away, or takes no writes, so that hearts cannot be heard.
    """
    redis.persist(keys.WORKERS)
    beats = redis.mget(map(keys.worker, workers))
    return [None if beat in (None, _ASKING) else beat.decode() for beat in beats]


def reap(redis: Redis, worker: str, *, now: bool = False) -> list[Unit]:
    """Ends a dead worker's leases and names the examples it held; `now` ends a worker that still beats.

    An example that it took up after its last heartbeat is not among them: it is found when its queue runs dry.
    """
    waiting = _units(redis.get(keys.worker(worker, "waiting")))
    there = datetime.fromtimestamp(clock(redis), UTC)
    script = redis.register_script(script_text("reap"))
    ended = script(
        keys=[keys.WORKERS, keys.worker(worker), keys.worker(worker, "leases")],
        args=[worker, keys.PREFIX, "now" if now else "", there.isoformat(timespec="milliseconds")],
    )
    if not ended and not now and redis.exists(keys.worker(worker)):
        return []
    leased = [unit.decode().split(" ", 1) for unit in ended]
    return [(job, int(unit)) for job, unit in leased] + waiting
