"""The command: every system, every scenario, one table each.

Example: python -m benchmarks.limits --scenario 1 --scenario 2 --repeat 3 --json limits.json
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.error import URLError

import typer

from benchmarks.bench import ROOT, Bench, end_in_order
from benchmarks.run import Run, measured, most_seconds
from benchmarks.scenarios import LATENCY_SECONDS, SCENARIOS, Scenario, quick
from benchmarks.systems.all import SYSTEMS
from benchmarks.systems.base import System
from benchmarks.table import medians, print_gap, print_table

_TAIL_SECONDS = 2 * LATENCY_SECONDS


def main(
    scenario: Annotated[
        list[int] | None, typer.Option(help="Only this one, 1 to 7; may be given several times.")
    ] = None,
    system: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    repeat: Annotated[int, typer.Option(help="Runs of each; the tables show their medians.", min=1)] = 1,
    examples: Annotated[int | None, typer.Option(help="Examples of each run, not each scenario's own.", min=2)] = None,
    to_json: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    small: Annotated[bool, typer.Option("--quick", help="A third of the examples: to see that it works.")] = False,
    gap: Annotated[bool, typer.Option("--gap", help="Show where the unused part of the limit went.")] = False,
) -> None:
    """How much of the provider's limit each system uses, and whether it keeps it."""
    end_in_order()
    scenarios = _chosen(scenario, examples, small)
    systems = _named(system)
    pairs = [(one, each) for one in scenarios for each in systems]
    able = [(one, each) for one, each in pairs if not each.missing() and not each.unfit(one)]
    forecast = repeat * sum(_seconds(one, each) for one, each in able)
    _say(f"{repeat * len(able)} runs, about {forecast / 60:.0f} minutes if every system used all of its limit.")
    runs: list[Run] = []
    begin = time.monotonic()
    try:
        for one in scenarios:
            here: list[Run] = []
            for _ in range(repeat):
                for each in systems:
                    left = f"{len(runs) + 1} of {repeat * len(pairs)}, {(time.monotonic() - begin) / 60:.0f} min so far"
                    here.append(_run(each, one, left))
                    runs.append(here[-1])
                    _write(to_json, runs)
            print_table(one, [medians([run for run in here if run.system == each.name]) for each in systems])
            if gap:
                print_gap(one, here)
            sys.stdout.flush()
    except KeyboardInterrupt:
        _say("\nStopped; everything it had started is ended.")
        sys.exit(130)
    print(_LEGEND)
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}, {os.cpu_count()} cores, {platform.platform()}")


_LEGEND = """
used: of the binding limit, between the first admission and the last, by the provider's own audit.
lost: examples without an answer at the end. seconds: first call to last answer.
CPU ms: per example, of all of a system's processes from their start on (genfleet: broker, workers, producer,
collector; Celery: broker, workers, producer); running: the same between the first call and the last answer.
worst min: the fullest 60 seconds at any offset, of the declared limit; * is a run shorter than that."""


def _run(system: System, scenario: Scenario, left: str) -> Run:
    reason = system.missing() or system.unfit(scenario)
    if reason is not None:
        return Run(scenario.number, system.name, reason)
    done = threading.Event()
    watchers: list[threading.Thread] = []

    def watch(bench: Bench) -> None:
        watchers.append(threading.Thread(target=_progress, args=(bench, f"{system.name}, {left}", done), daemon=True))
        watchers[0].start()

    try:
        return measured(system, scenario, watch)
    finally:
        done.set()
        for watcher in watchers:
            watcher.join()


def _progress(bench: Bench, what: str, done: threading.Event) -> None:
    """One line on stderr that is written over; where that is no terminal, one line a run."""
    begin = time.monotonic()
    alone = sys.stderr.isatty()
    if not alone:
        _say(f"{bench.scenario.number}. {what}")
    while alone and not done.wait(1):
        try:
            bill = bench.bill()
        except (URLError, ConnectionError, TimeoutError):
            break
        calls = f"{bill['billed_calls']:,} answers of {bench.scenario.examples:,}, {bill['refused_429']:,} 429s"
        line = f"{bench.scenario.number}. {what}: {time.monotonic() - begin:.0f} s, {calls}"
        sys.stderr.write(f"\r{line:<110}")
        sys.stderr.flush()
    if alone:
        sys.stderr.write("\r" + " " * 110 + "\r")


def _chosen(numbers: list[int] | None, examples: int | None, small: bool) -> list[Scenario]:
    known = {scenario.number: scenario for scenario in SCENARIOS}
    for number in numbers or []:
        if number not in known:
            raise typer.BadParameter(f"{number} is no scenario; there are {min(known)} to {max(known)}.")
    found = [known[number] for number in numbers or known]
    if small:
        found = [quick(scenario) for scenario in found]
    return found if examples is None else [scenario.sized(examples) for scenario in found]


def _named(names: list[str] | None) -> list[System]:
    known = {system.name: system for system in SYSTEMS}
    for name in names or []:
        if name not in known:
            raise typer.BadParameter(f'"{name}" is no system; there are {", ".join(known)}.')
    return [known[name] for name in names or known]


def _seconds(scenario: Scenario, system: System) -> float:
    return min(most_seconds(scenario), system.start_seconds() + scenario.ideal_seconds + _TAIL_SECONDS)


def _write(path: Path | None, runs: list[Run]) -> None:
    if path is None:
        return
    found: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "runs": [run.as_dict() for run in runs],
    }
    path.write_text(json.dumps(found, indent=1), "utf-8")


def _commit() -> str:
    """Of the code that is measured; with a mark where files differ from it."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    typer.run(main)
