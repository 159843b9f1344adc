"""How soon a job of a million examples answers: `status`, `watch`, `report` and `export`, and what they need of memory.

    python -m benchmarks.views [--examples N]

The job's record and part files are made without a fleet, by the product's own code or in its form (`made_job.py` says
how). Seconds are from a command's start to its end, memory is the most that its process had resident. The broker is an
embedded Valkey.
"""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from pathlib import Path

import redis
from rich.console import Console
from rich.table import Table

from benchmarks.bench import Bench, RunFailed, options_of
from benchmarks.made_job import MadeJob
from benchmarks.scenarios import Scenario
from benchmarks.systems.genfleet import prepare
from config.models import Limits

_SCENARIO = Scenario(0, "views", "concurrent", Limits(), Limits(), 0)
_GIGABYTE, _MEGABYTE = 1e9, 1e6
_HIGH_WATER = re.compile(r"VmHWM:\s+(\d+) kB")


def main() -> None:
    """Prints the figures."""
    parser = options_of(__doc__)
    parser.add_argument("--examples", type=int, default=1_000_000)
    examples = parser.parse_args().examples
    console = Console(width=120)
    with Bench(_SCENARIO, 7_200) as bench:
        url = prepare(bench)
        began = time.monotonic()
        job = MadeJob(examples)
        folder = bench.folder / "data" / "jobs" / job.id
        sums = job.write(folder)
        with redis.Redis.from_url(url) as client:
            job.record(client, sums)
        parts = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        console.print(
            f"{examples:,} examples, {parts / _GIGABYTE:.2f} GB of part files, made without calls or a fleet in "
            f"{time.monotonic() - began:.0f} s."
        )
        table = Table("", "seconds", "MB", "wrote")
        for title, words, to in _commands(job.id, bench.folder):
            seconds, megabytes = _run(bench, words)
            wrote = f"{to.stat().st_size / _GIGABYTE:.2f} GB" if to is not None else ""
            table.add_row(title, f"{seconds:.2f}", f"{megabytes:.0f}", wrote)
        console.print(table)


def _commands(job: str, folder: Path) -> list[tuple[str, list[str], Path | None]]:
    """Each command: its title, its words, and the dataset that it writes."""
    looks: list[tuple[str, list[str], Path | None]] = [
        ("genfleet status", ["status"], None),
        ("genfleet watch", ["watch", job], None),
        ("genfleet report", ["report", job, "--to", str(folder / "report.html")], None),
    ]
    endings = ("jsonl", "chat.jsonl", "csv", "parquet")
    datasets = [(f"genfleet export, {ending}", folder / f"dataset.{ending}") for ending in endings]
    return looks + [(title, ["export", job, "--to", str(to)], to) for title, to in datasets]


def _run(bench: Bench, words: list[str]) -> tuple[float, float]:
    """Seconds that a command takes, and the most memory that it had resident, in MB. Raises RunFailed."""
    began, most = time.monotonic(), 0
    process = bench.start([sys.executable, "-m", "console", *words], words[0])
    while process.poll() is None:
        # Not `ru_maxrss`: it counts what this process had when it forked.
        with suppress(OSError):
            found = _HIGH_WATER.search(Path(f"/proc/{process.pid}/status").read_text())
            most = int(found[1]) if found else most
        time.sleep(0.02)
    if process.returncode:
        raise RunFailed(bench.why(words[0]))
    return time.monotonic() - began, most * 1024 / _MEGABYTE


if __name__ == "__main__":
    main()
