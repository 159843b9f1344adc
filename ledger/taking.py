"""Which jobs each worker takes, and which it cannot: told with its heartbeat, so that people learn why nobody does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis.exceptions import NoPermissionError

from ledger import keys
from ledger.connection import Redis
from ledger.damaged import Damaged, reading
from ledger.fleet import DEAD_AFTER_SECONDS, alive

_MOST_TEXT = 500  # characters


@dataclass(frozen=True)
class Taking:
    """What one worker says of the jobs that run: those it takes, and those it cannot, with the reason."""

    takes: frozenset[str]
    refuses: Mapping[str, str]


def tell(redis: Redis, worker: str, takes: Iterable[str], refuses: Mapping[str, str]) -> None:
    """This worker takes these jobs, and refuses those; it holds as long as a heartbeat."""
    text = json.dumps({"takes": sorted(takes), "refuses": dict(refuses)})
    redis.set(keys.worker(worker, "taking"), text, px=int(DEAD_AFTER_SECONDS * 1000))


def read(redis: Redis) -> list[Taking]:
    """What the living workers have said; those that have said nothing, or nothing that can be read, are left out."""
    names = list(alive(redis))
    found = []
    for text in redis.mget([keys.worker(name, "taking") for name in names]) if names else ():
        with suppress(Damaged), reading("what a worker takes"):
            said = json.loads(text or "{}")
            refuses = {str(job): str(why)[:_MOST_TEXT] for job, why in said["refuses"].items()}
            found.append(Taking(frozenset(map(str, said["takes"])), refuses))
    return found


def notes(redis: Redis, jobs: Sequence[str]) -> dict[str, str]:
    """Of these jobs, those that some worker refuses and none takes, each with a sentence for people."""
    with suppress(NoPermissionError):
        said = read(redis)
        refused = {job: [one.refuses[job] for one in said if job in one.refuses] for job in jobs}
        return {
            job: f"no worker of the fleet can take it: {why[0]}"
            for job, why in refused.items()
            if why and not any(job in one.takes for one in said)
        }
    return {}
