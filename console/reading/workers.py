"""Who is in the fleet and what each worker process does, by its heartbeat and its leases."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from ledger import fleet, keys
from ledger.connection import Redis

#: As workers name themselves: host, process id, the supervisor's mark and number where there is one, and a mark.
_NAME = re.compile(r"(?P<host>.+?)-(?P<process>\d+(?:-[0-9a-f]{4}-\d+)?)-[0-9a-f]{6}", re.ASCII)


@dataclass(frozen=True)
class Worker:
    """A living worker process.

    Attributes:
        name: as it calls itself in the ledger.
        in_flight: calls, by job.
        waiting: examples that it holds without a lease, by job.
        silent: seconds since its last heartbeat.
    """

    name: str
    in_flight: Counter[str]
    waiting: Counter[str]
    silent: float

    @property
    def host(self) -> str:
        """Its machine's name; its own where it was given another one."""
        found = _NAME.fullmatch(self.name)
        return found["host"] if found else self.name

    @property
    def process(self) -> str:
        """Its process id, or that of its supervisor and its number there; nothing where it was given a name."""
        found = _NAME.fullmatch(self.name)
        if not found:
            return ""
        pid, _, rest = found["process"].partition("-")
        return f"{pid} #{rest.rpartition('-')[2]}" if rest else pid

    @property
    def jobs(self) -> list[str]:
        """The jobs it is at work on, that with most calls first."""
        both = self.in_flight + self.waiting
        return sorted(both, key=lambda job: (-both[job], job))


def workers_now(redis: Redis) -> list[Worker]:
    """The living workers, by name."""
    living = fleet.alive(redis)
    with redis.pipeline(transaction=False) as pipe:
        for name in living:
            pipe.smembers(keys.worker(name, "leases"))
            pipe.pttl(keys.worker(name))
        replies = pipe.execute()
    found = []
    for place, (name, waiting) in enumerate(living.items()):
        leases, expires = replies[2 * place : 2 * place + 2]
        # One that has died since, or was written without an end, was heard of just now all the same.
        silent = fleet.DEAD_AFTER_SECONDS - expires / 1000 if expires > 0 else fleet.DEAD_AFTER_SECONDS
        in_flight = Counter(lease.decode("utf-8", "replace").rpartition(" ")[0] for lease in leases)
        # A heartbeat tells what was held when it beat; what has a lease by now is in flight.
        without = Counter(job for job, unit in waiting if f"{job} {unit}".encode() not in leases)
        found.append(Worker(name, in_flight, without, max(0.0, silent)))
    return found
