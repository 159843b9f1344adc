"""One run of a fleet from its start to its census: a fault at a moment named by progress, and an end by itself."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from census import Census, Disk, Ledger, take
from fleet_bench import MODEL, Command, Fleet, environment_of, small_recipe
from link import Link
from own_broker import Broker
from provider_looks import in_flight

from console.provider.request import parse
from ledger import keys
from ledger.connection import clock

_PLAIN = """
[output]
type = "object"
title = "small"
properties = { question = { type = "string" }, answer = { type = "string" } }
required = ["question", "answer"]
"""
_ASKED = re.compile(r"numero (\d+) sul tema (\d+)")


def repeating(name: str, schema: dict[str, Any] | None, messages: list[dict[str, Any]], rng: random.Random) -> str:
    """An answer that repeats what was asked, so that one that went to another example is found."""
    found = _ASKED.search(messages[-1]["content"])
    assert found is not None
    return json.dumps({"question": " ".join(found.groups()), "answer": f"{rng.random()}"})


@dataclass(frozen=True)
class Shape:
    """How much there is to do, and by whom: `machines` worker commands of `processes` processes each."""

    count: int = 600
    machines: int = 2
    processes: int = 1
    concurrency: int = 20
    latency: float = 0.5
    timeout: float = 60

    @property
    def ideal_seconds(self) -> float:
        """The least that it can take: every slot busy all the time."""
        return self.count * self.latency / (self.machines * self.processes * self.concurrency)


@dataclass
class Machine:
    """A worker command as one machine has it: its own disk, and its own way to the broker where it was asked for."""

    name: str
    command: Command
    link: Link | None = None


@dataclass
class Run:
    """A scenario's fleet. Nothing of it outlives the `with` block."""

    folder: Path
    shape: Shape = Shape()
    program: str = "valkey"
    job: str = ""
    machines: list[Machine] = field(default_factory=list)
    #: Examples that had a lease when a fault came.
    in_flight: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    census: Census | None = None

    def __enter__(self) -> Self:
        self.broker = Broker(self.folder / "broker", self.program)
        self.broker.start()
        self.fleet = Fleet(self.folder, self.broker.url, self.broker.client)
        self.fleet.provide(repeating, latency_seconds=self.shape.latency)
        self.fleet.env["GENFLEET_GRACE_SECONDS"] = "20"
        self.recipe()
        self._stopped: set[int] = set()
        self._began = 0.0
        self._links: list[Link] = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self._stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        try:
            self.fleet.__exit__(kind, error, trace)
        finally:
            for link in self._links:
                link.close()
            self.broker.close()

    # What a scenario starts.

    def recipe(self, output: str = _PLAIN) -> None:
        """Writes the recipe; `output` is its output line or table."""
        text = small_recipe(timeout=self.shape.timeout, output=output)
        (self.folder / "recipes" / "small.toml").write_text(text)

    def workers(self, machines: int | None = None, *, linked: bool = False, **env: str) -> list[Machine]:
        """Starts worker commands, each with a disk of its own, and waits until all of them take tasks."""
        new = self.start_machines(machines, linked=linked, **env)
        self.until_joined(new)
        return new

    def start_machines(self, machines: int | None = None, *, linked: bool = False, **env: str) -> list[Machine]:
        """Starts worker commands, each with a disk of its own and, if linked, a way of its own to the broker."""
        shape, new = self.shape, []
        for _ in range(shape.machines if machines is None else machines):
            name = f"machine-{len(self.machines) + 1}"
            link = Link(self.broker.port) if linked else None
            if link is not None:
                self._links.append(link)
            own = {"GENFLEET_DATA": str(self.folder / name), "REDIS_URL": link.url if link else self.broker.url}
            new.append(Machine(name, self.fleet.worker(shape.processes, shape.concurrency, **(own | env)), link))
            self.machines.append(new[-1])
        return new

    def until_joined(self, machines: list[Machine]) -> None:
        """Waits until all processes of these machines take tasks."""

        def joined() -> bool:
            assert all(machine.command.runs for machine in machines), machines[-1].command.shown()
            names = {worker_of(pid) for pid in self.pids(machines)}
            return len(names) == len(machines) * self.shape.processes and names <= set(self.alive())

        self.fleet.until(joined, f"{len(machines)} machines have joined")

    def plain_worker(self, name: str) -> Command:
        """Starts a worker of Celery's own, which nobody watches."""
        return self.fleet.plain_worker(name, self.shape.concurrency, GENFLEET_DATA=str(self.folder / name))

    def submit(self, *arguments: str, **env: str) -> str:
        """Submits the job, and takes the time from now on."""
        count = ("--count", str(self.shape.count))
        self.job = self.fleet.genfleet("submit", "small", *count, *arguments, **env).out.strip()
        self._began = self._began or time.monotonic()
        return self.job

    def submit_meanwhile(self, **env: str) -> None:
        """Starts a producer that is at work while the job runs; one that another has just left may have to wait."""

        def begun() -> bool:
            self.producer = self.fleet.start("submit", "small", "--count", str(self.shape.count), **env)
            enqueued = "tasks enqueued"
            self.fleet.until(lambda: enqueued in self.producer.err or not self.producer.runs, "the producer has begun")
            return self.producer.runs or self.producer.wait().code == 0

        self.fleet.until(begun, "a producer is at work", 60)
        self.job = self.producer.out.strip()
        self._began = self._began or time.monotonic()

    def collect(self, **env: str) -> Command:
        """Starts a collector, which ends when all is collected."""
        return self.fleet.start("collect", self.job, "--to", str(self.results), **env)

    @property
    def results(self) -> Path:
        """The folder of the part files."""
        return self.folder / "results"

    def go(self, *, linked: bool = False, **env: str) -> None:
        """The usual beginning: workers, the job, a collector."""
        self.workers(linked=linked, **env)
        self.begin()

    def begin(self) -> None:
        """Submits the job and starts a collector; no call is made before that is at work, however long it takes."""
        redis = self.fleet.redis
        # As after a refusal by the provider: the fleet leaves the model alone.
        redis.hset(keys.model(MODEL), "pause", int((clock(redis) + 120) * 1e6))
        self.submit()
        self.collector = self.collect()
        self.fleet.until(lambda: redis.exists(keys.job(self.job, "collector")), "the collector is at work")
        redis.hdel(keys.model(MODEL), "pause")
        self._began = time.monotonic()

    # What a scenario asks.

    def alive(self) -> list[str]:
        """Worker processes whose heart beats."""
        names = [name.decode() for name in self.fleet.redis.smembers(keys.WORKERS)]
        return [name for name in names if self.fleet.redis.exists(keys.worker(name))]

    def pids(self, machines: Iterable[Machine] | None = None) -> list[int]:
        """The worker processes of these machines, without the commands that watch them."""
        chosen = self.machines if machines is None else machines
        return [pid for machine in chosen for pid in self.fleet.children(machine.command.pid)]

    def at(self, share: float, seconds: float = 90) -> None:
        """Waits until this share of the job is accepted."""
        wanted = int(share * self.shape.count)
        self.fleet.until(lambda: self.accepted() >= wanted, f"{share:.0%} are accepted", seconds)

    def accepted(self) -> int:
        """How many are accepted; a broker that is busy or away is waited for by its client."""
        return int(self.fleet.redis.hget(keys.job(self.job), "accepted") or 0)

    def uncollected(self) -> int:
        """Results that wait in the broker."""
        return int(self.fleet.redis.xlen(keys.job(self.job, "results")))

    def pace(self, since: float, seconds: float) -> float:
        """Calls a second that came to the provider in the seconds from that moment of the monotonic clock on."""
        calls = self.fleet.provider.audit()
        return sum(since <= call.t < since + seconds for call in calls) / seconds

    def calls_for(self, examples: set[int], after: float) -> list[float]:
        """When the first call after that came for each of these examples; seconds of the monotonic clock."""
        assert self.census is not None
        rows = self.census.disk.accepted + self.census.disk.rejected
        wanted = {digest(row["variables"]): int(row["index"]) for row in rows if row["index"] in examples}
        first: dict[int, float] = {}
        for call in sorted(self.fleet.provider.audit(), key=lambda call: call.t):
            if call.t > after and call.digest in wanted:
                first.setdefault(wanted[call.digest], call.t)
        return list(first.values())

    def _names(self, pid: int) -> set[str]:
        """Under which a process holds its leases: its supervisor's word, or one with its id where nobody watches it."""
        told = worker_of(pid)
        return {told} if told else {name for name in self.alive() if f"-{pid}-" in name}

    def leases(self, pids: Iterable[int] | None = None) -> set[int]:
        """The examples that are leased, by these processes or by all."""
        names = None if pids is None else {name for pid in pids for name in self._names(pid)}
        found = self.fleet.redis.hgetall(keys.job(self.job, "leases")).items()
        return {int(unit) for unit, lease in found if names is None or lease.decode().split()[1] in names}

    def first_call_after(self, moment: float) -> float:
        """When the first call after that came to the provider; both are seconds of the monotonic clock."""
        return min(call.t for call in self.fleet.provider.audit() if call.t > moment)

    def questions(self) -> list[str]:
        """What the job still asks, in the order of the examples."""
        found = self.fleet.redis.hgetall(keys.job(self.job, "todo")).items()
        items = {int(unit): json.loads(text.decode().split(" ", 3)[3])["variables"] for unit, text in found}
        return [f"{item['numero']} {item['tema']}" for _, item in sorted(items.items())]

    def note(self, text: str) -> None:
        """Something measured, for the line of evidence."""
        self.notes.append(text)

    # Faults: what is in flight at their moment is noted, because only that may be paid for twice.

    def kill(self, pids: Iterable[int]) -> None:
        """SIGKILL."""
        pids = list(pids)
        self.stop(pids)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self._stopped -= set(pids)

    def stop(self, pids: Iterable[int]) -> None:
        """SIGSTOP: they are still there and do nothing."""
        pids = list(pids)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            self._stopped.add(pid)
        # What they had sent has reached the ledger by now.
        time.sleep(0.05)
        self.in_flight |= self.leases(pids)

    def go_on(self, pids: Iterable[int]) -> None:
        """SIGCONT."""
        for pid in pids:
            with suppress(ProcessLookupError):  # its supervisor may have ended it meanwhile
                os.kill(pid, signal.SIGCONT)
            self._stopped.discard(pid)

    @contextmanager
    def fault(self) -> Iterator[None]:
        """A fault of anything but a worker: whatever is in flight at its beginning may suffer."""
        self.in_flight |= self.leases()
        yield

    @contextmanager
    def slow_calls(self) -> Iterator[None]:
        """Calls take so long that the job is not complete meanwhile, however long a command takes to start."""
        self.fleet.provider.control(latency_seconds=5.0)
        yield
        self.fleet.provider.control(latency_seconds=self.shape.latency)

    def last_of_ledger(self) -> set[int]:
        """Lets the ledger change no more; gives the examples that are settled there and not collected.

        They and those that are leased are in flight at a fault by which the broker loses all it holds.
        """
        redis = self.fleet.redis
        redis.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
        entries = redis.xrange(keys.job(self.job, "results"))
        uncollected = {int(json.loads(fields[b"attempt"])["unit"]) for _, fields in entries}
        self.in_flight |= self.leases() | uncollected
        return uncollected

    # The end.

    def ends(self, seconds: float = 120, *, lost_workers: bool = False, forgotten: bool = False) -> Census:
        """Waits until the run has ended by itself, and counts.

        Args:
            lost_workers: the fault was of the workers' own making, at moments that the ledger alone knows.
            forgotten: the ledger was lost, so it cannot name the calls that were cut with it.
        """
        fleet = self.fleet
        fleet.until(lambda: self.state() == "complete", "the job is complete", seconds)
        self.seconds = time.monotonic() - self._began
        done = self.collector.wait(60)
        assert done.code == 0, done.err
        fleet.until(lambda: in_flight(fleet) == 0, "the provider has seen every caller leave", 30)
        disk = Disk.read(self.results)
        if lost_workers:
            self.in_flight |= {int(row["unit"]) for row in disk.attempts if row["reason"] == "worker_lost"}
        expected = set(range(self.shape.count))
        ledger = Ledger.read(fleet.redis, self.job)
        self.census = take(ledger, disk, fleet.provider.audit(), expected, self.in_flight, digest, forgotten=forgotten)
        wrong = self.census.wrong
        assert not wrong, "; ".join(wrong)
        return self.census

    def state(self) -> str:
        """The job's state."""
        return str((self.fleet.redis.hget(keys.job(self.job), "state") or b"").decode())


def digest(variables: dict[str, Any]) -> str:
    """What the provider's audit calls the question with these variables."""
    asked = f"Scrivi la domanda numero {variables['numero']} sul tema {variables['tema']}."
    form = {"type": "json_schema", "json_schema": {"name": "small", "schema": {}}}
    body = {"model": MODEL, "messages": [{"role": "user", "content": asked}], "response_format": form}
    return parse(json.dumps(body).encode()).digest.hex()


def worker_of(pid: int) -> str:
    """The name under which a supervised process holds its leases."""
    pairs = (pair.partition("=") for pair in environment_of(Path(f"/proc/{pid}")))
    return next((value for name, _, value in pairs if name == "GENFLEET_WORKER"), "")
