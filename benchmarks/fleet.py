"""How a fleet grows: throughput by worker processes and by the way to the broker, and what one Redis carries.

    python -m benchmarks.fleet [--processes 1 2 4 8] [--milliseconds 0 1 20]

Each process holds 40 calls of a second, so each could make 40 examples a second. With a way to the broker, workers are
in up to four network namespaces, whose cables to it take half of the milliseconds in each direction; that needs root.
All of it, the provider and the cables too, runs on one machine, and where that has no more CPU to give, the table says
so. Commands are those that the broker counts (`INFO commandstats`), in scripts or not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from benchmarks.bench import MODEL, Bench, RunFailed, options_of
from benchmarks.load import Case
from benchmarks.measure import admissions
from benchmarks.network.machines import Machines
from benchmarks.network.namespace import not_permitted
from benchmarks.systems.base import Outcome
from benchmarks.systems.genfleet import Genfleet
from benchmarks.table import print_rows
from ledger.connection import Redis

IN_FLIGHT, SECONDS, RUN_SECONDS = 40, 1.0, 25
_MOST_MACHINES = 4
_BUSY = 0.9  # of the machine's CPU: more than that is full, and where there is no way, what binds is nothing else


class Spread(Genfleet):
    """The fleet, its workers on these machines; on this one, where there are none."""

    def __init__(self, processes: int, machines: Machines | None) -> None:
        super().__init__(processes, IN_FLIGHT)
        self.machines = machines
        self.commands: dict[str, int] = {}

    def run(self, bench: Bench) -> Outcome:
        """As `System.run`; it keeps the broker's counts."""
        outcome = super().run(bench)
        with redis.Redis.from_url(bench.env["REDIS_URL"]) as client:
            self.commands = _commands(client)
        return outcome

    def start_worker(self, bench: Bench) -> subprocess.Popen[bytes]:
        """On each machine as many as on any other."""
        if self.machines is None:
            return super().start_worker(bench)
        url = bench.env["REDIS_URL"]
        with redis.Redis.from_url(url) as client:
            self.machines.admit_to(client)
        there = url.replace("127.0.0.1", self.machines.broker_host)
        each = self.processes // len(self.machines.namespaces)
        figures = ("--processes", str(each), "--concurrency", str(self.concurrency), "--model", MODEL)
        started = [
            bench.start(
                [sys.executable, *namespace.inside(["-m", "console", "worker", *figures])],
                f"worker-{number}",
                REDIS_URL=there,
            )
            for number, namespace in enumerate(self.machines.namespaces)
        ]
        return started[0]


@dataclass(frozen=True)
class Grown:
    """One run. Shares and milliseconds of CPU are of the time in which every place was taken."""

    rate: float
    busy: float
    workers_ms: float
    broker_ms: float
    commands: dict[str, float]


def main() -> None:
    """Prints the figures."""
    parser = options_of(__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--milliseconds", type=float, nargs="+", default=[0, 1, 20])
    asked = parser.parse_args()
    head = ("to the broker", "processes", "examples/s", "each", "of the ideal", "binds", "CPU ms: workers", "broker")
    rows: list[tuple[str, ...]] = [head]
    last: Grown | None = None
    if any(asked.milliseconds) and (why := not_permitted()) is not None:
        sys.exit(f"{why}: run it as root, or with --milliseconds 0.")
    for milliseconds in asked.milliseconds:
        for processes in asked.processes:
            print(f"{milliseconds:g} ms, {processes} processes", file=sys.stderr, flush=True)
            try:
                last = _run(processes, milliseconds)
            except RunFailed as problem:
                rows.append((f"{milliseconds:g} ms", f"{processes}", *["–"] * 3, str(problem), "–", "–"))
                continue
            rows.append(_row(milliseconds, processes, last))
    print_rows(rows)
    if last is not None:
        total = sum(last.commands.values())
        most = ", ".join(f"{name} {count:.1f}" for name, count in sorted(last.commands.items(), key=_count)[:12])
        print(f"\nCommands an example in the last run: {total:.1f} ({most})")
        print(f"One core of this broker would carry {1000 / last.broker_ms:,.0f} examples/s, all they need of it.")


def _count(pair: tuple[str, float]) -> float:
    return -pair[1]


def _row(milliseconds: float, processes: int, grown: Grown) -> tuple[str, ...]:
    ideal = processes * IN_FLIGHT / SECONDS
    share = grown.rate / ideal
    full = grown.busy > _BUSY or not milliseconds
    binds = "calls in flight" if share > 0.95 else "the machine's CPU" if full else "the way"
    return (
        f"{milliseconds:g} ms",
        f"{processes}",
        f"{grown.rate:.1f}",
        f"{grown.rate / processes:.1f}",
        f"{share:.1%}",
        f"{binds} ({grown.busy:.0%} busy)",
        f"{grown.workers_ms:.2f}",
        f"{grown.broker_ms:.2f}",
    )


def _run(processes: int, milliseconds: float) -> Grown:
    places = processes * IN_FLIGHT
    case = Case(places, SECONDS, int(places / SECONDS * RUN_SECONDS), processes)
    with ExitStack() as stack:
        machines = stack.enter_context(Machines(min(processes, _MOST_MACHINES))) if milliseconds else None
        for cable in machines.to_broker if machines is not None else ():
            cable.slow(milliseconds / 2000)
        host = "127.0.0.1" if machines is None else machines.provider_host
        bench = stack.enter_context(Bench(case.scenario(), 300, host))
        before = _machine()
        spread = Spread(processes, machines)
        spread.run(bench)
        after = _machine()
        calls = admissions(bench.audit())
        begin, end, count = calls[places].t, calls[-1].t, len(calls) - places
        used: dict[str, float] = {}
        for command, seconds in bench.usage.by_command(begin, end).items():
            part = "broker" if "valkey-server" in command else "workers" if "-m celery" in command else "other"
            used[part] = used.get(part, 0.0) + seconds / count * 1000
    return Grown(
        rate=count / (end - begin),
        busy=(after[0] - before[0]) / (after[1] - before[1]),
        workers_ms=used.get("workers", 0.0),
        broker_ms=used.get("broker", 0.0),
        commands={name: made / len(calls) for name, made in spread.commands.items()},
    )


def _machine() -> tuple[float, float]:
    """Ticks of CPU that this machine has used, and all that there were."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def _commands(client: Redis) -> dict[str, int]:
    found: dict[str, Any] = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(stats["calls"]) for name, stats in found.items()}


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores")
    main()
