"""The command: what an example costs and how many calls one machine holds, beside a bare loop and other generators.

Example: python -m benchmarks.load --case 500x2.5 --repeat 3
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Annotated

import typer

from benchmarks.bench import Bench, RunFailed, end_in_order
from benchmarks.measure import admissions
from benchmarks.scenarios import Scenario
from benchmarks.systems.bare_loop import BareLoop
from benchmarks.systems.base import System
from benchmarks.systems.genfleet import Genfleet
from benchmarks.systems.peers import PEERS
from benchmarks.table import print_rows
from config.models import Limits

_MEGABYTE = 1e6


@dataclass(frozen=True)
class Case:
    """So many calls in flight, each so many seconds long; genfleet spreads them over so many worker processes."""

    in_flight: int
    seconds: float
    examples: int
    processes: int
    spread: float = 0.4
    """Sigma of the logarithms of the calls' lengths."""

    @property
    def name(self) -> str:
        """As `--case` takes it."""
        return f"{self.in_flight}x{self.seconds:g}"

    @property
    def ideal(self) -> float:
        """Examples a second if every place is always taken."""
        return self.in_flight / self.seconds

    def scenario(self, latency_seconds: float | None = None) -> Scenario:
        """A provider that bounds nothing but the calls in flight, with none of them refused."""
        bound = Limits(concurrent_requests=self.in_flight)
        latency = latency_seconds or self.seconds
        return Scenario(
            0,
            self.name,
            "concurrent",
            Limits(),
            bound,
            self.examples,
            latency_seconds=latency,
            latency_sigma=self.spread,
        )


CASES = (
    Case(100, 2.5, 1_200, 1),
    Case(600, 5.0, 3_600, 2),
    Case(500, 2.5, 6_000, 2),
    # No call may be so long that it is given up, after a minute: what came of it would begin long after all others.
    Case(2_000, 20.0, 8_000, 4, spread=0.2),
)


@dataclass(frozen=True)
class Cost:
    """One run.

    Attributes:
        rate: examples a second, once every place was taken.
        cpu_ms: CPU per example in that time, and `parts` of it by what the processes are for.
        megabytes: of memory, at most.
        lost: examples without an answer at the end.
    """

    rate: float
    cpu_ms: float
    parts: dict[str, float]
    megabytes: float
    lost: int


def main(
    case: Annotated[
        list[str] | None, typer.Option(help="Only this one, as 500x2.5; may be given several times.")
    ] = None,
    system: Annotated[
        list[str] | None, typer.Option(help="Only those whose names begin so; may be given several times.")
    ] = None,
    repeat: Annotated[int, typer.Option(help="Runs of each; the tables show their medians.", min=1)] = 1,
) -> None:
    """What an example costs, and how many calls in flight one machine holds."""
    end_in_order()
    cases = [one for one in CASES if not case or one.name in case]
    if not cases:
        raise typer.BadParameter(f"there is no such case; there are {', '.join(one.name for one in CASES)}.")
    try:
        for one in cases:
            systems: list[System] = [BareLoop(), Genfleet(one.processes, one.in_flight // one.processes), *PEERS]
            chosen = [each for each in systems if not system or each.name.startswith(tuple(system))]
            if not chosen:
                raise typer.BadParameter(f"there is no such system; there are {', '.join(e.name for e in systems)}.")
            _table(one, chosen, repeat)
    except KeyboardInterrupt:
        print("\nStopped; everything it had started is ended.", file=sys.stderr)
        sys.exit(130)
    print(_LEGEND)
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {platform.platform()}")


_LEGEND = """
examples/s: once every place was taken, until the last call begins; of the ideal: calls in flight by their length.
CPU ms: per example, of all of a system's processes in that time (genfleet: broker, workers, collector). MB: the most
that they had together, shared pages counted once. The provider runs on the same machine and is not counted. lost:
examples without an answer at the end."""


def _table(case: Case, systems: list[System], repeat: int) -> None:
    found: dict[str, list[Cost]] = {each.name: [] for each in systems}
    reasons: dict[str, str] = {}
    for _ in range(repeat):
        for each in systems:
            if (missing := each.missing()) is not None:
                reasons[each.name] = missing
                continue
            print(f"{case.name}: {each.name}", file=sys.stderr, flush=True)
            try:
                found[each.name].append(run(each, case))
            except RunFailed as problem:
                reasons[each.name] = str(problem)
    least = median([run.cpu_ms for run in found[BareLoop.name]]) if found.get(BareLoop.name) else None
    rows: list[tuple[str, ...]] = [
        ("system", "examples/s", "of the ideal", "CPU ms", "of the bare loop", "MB", "lost", "")
    ]
    rows += [_row(name, runs, case, least, reasons.get(name, "")) for name, runs in found.items()]
    print(f"\n{case.in_flight:,} calls in flight of {case.seconds:g} s, {case.examples:,} examples")
    print_rows(rows)
    sys.stdout.flush()


def _row(name: str, runs: list[Cost], case: Case, least: float | None, reason: str) -> tuple[str, ...]:
    if not runs:
        return (name, *["–"] * 6, reason)
    rate, cpu = median([run.rate for run in runs]), median([run.cpu_ms for run in runs])
    return (
        name,
        f"{rate:.1f}",
        f"{rate / case.ideal:.1%}",
        f"{cpu:.2f}",
        "–" if least is None else f"{cpu / least:.2f}",
        f"{median([run.megabytes for run in runs]):.0f}",
        f"{median([run.lost for run in runs]):.0f}",
        reason or _parts(runs),
    )


def _parts(runs: list[Cost]) -> str:
    """CPU ms by what the processes are for, where there are several."""
    names = sorted({name for run in runs for name in run.parts} - {"other"})
    return ", ".join(f"{name} {median([run.parts.get(name, 0.0) for run in runs]):.2f}" for name in names)


def run(system: System, case: Case) -> Cost:
    """One run of a system. Raises RunFailed."""
    with Bench(case.scenario(), 90 + 4 * case.examples / case.ideal) as bench:
        outcome = system.run(bench)
        calls = admissions(bench.audit())
        if len(calls) <= case.in_flight:
            raise RunFailed(f"it made {len(calls):,} calls")
        # From the second call in a place to the last call: neither starting nor ending is in it.
        begin, end, count = calls[case.in_flight].t, calls[-1].t, len(calls) - case.in_flight
        parts: dict[str, float] = {}
        for command, seconds in bench.usage.by_command(begin, end).items():
            part = _part(command)
            parts[part] = parts.get(part, 0.0) + seconds / count * 1000
        return Cost(
            rate=count / (end - begin),
            cpu_ms=sum(parts.values()),
            parts=parts,
            megabytes=bench.usage.peak_bytes / _MEGABYTE,
            lost=case.examples - outcome.answered,
        )


def _part(command: str) -> str:
    """What a process is for, in a word."""
    words = {
        "-m celery": "workers",
        "valkey-server": "broker",
        "console collect": "collector",
        "console submit": "producer",
    }
    return next((word for part, word in words.items() if part in command), "other")


if __name__ == "__main__":
    typer.run(main)
