"""Taking jobs' results: `collect`, `export`, `report`."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import Annotated

import redis as redis_py
import typer

from config import folders
from config.logs import log
from console.broker import ledger
from console.commands.options import JobId, LogFormat
from console.export import export as write_export
from console.interrupts import Interrupts, interrupts
from ledger import jobs
from ledger.collector import BATCH, GATHER_SECONDS, WAIT_SECONDS, Collector, will_pass
from ledger.connection import Redis
from ledger.jobs import AT_REST
from ledger.part_files import DiskFull
from ledger.results import CollectedElsewhere
from ledger.status import Status, status_of

_LOOK_SECONDS = 0.5
_IN_FLIGHT_SECONDS = 60.0


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    for command in (collect, export, report):
        app.command()(command)


def collect(
    job: Annotated[str | None, typer.Argument(help="A job's id or its beginning; without one, every job.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Folder for the part files.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Go on with jobs that are still to come.")] = False,
    log_format: LogFormat = None,
) -> None:
    """Takes results out of the broker into part files until the job is complete; Ctrl-C stops, nothing is lost.

    Example: genfleet collect quiz-3f9a1c2b --to results/
    """
    with ledger(_say) as redis, interrupts() as seen:
        collectors: dict[str, Collector] = {}
        said, until = "", 0.0
        try:
            while not seen.count:
                try:
                    taken, readings = _round(redis, collectors, job, to)
                except (redis_py.RedisError, DiskFull) as error:
                    if (why := will_pass(error)) is None:
                        raise
                    if why != said:
                        _say(why)
                    said = why
                    time.sleep(WAIT_SECONDS)
                    continue
                rest = all(reading.state in AT_REST for reading in readings)
                until = (until or time.monotonic() + _IN_FLIGHT_SECONDS) if rest else 0.0
                # Calls that are in flight when a job comes to rest are paid for too. But who dies with one may have
                # nobody left in the fleet to say so.
                over = rest and (time.monotonic() > until or not any(reading.running for reading in readings))
                if not taken and over and not forever:
                    break
                if taken < BATCH and not (taken and over):
                    _gather(redis, seen)
        finally:
            for name, collector in collectors.items():
                if collector.parts.is_open:
                    collector.drain()
                    collector.close()
                parts = collector.parts
                accepted, rejected = parts.count("accepted"), parts.count("rejected")
                log("job_collected", job=name, accepted=accepted, rejected=rejected, folder=parts.directory)


def _gather(redis: Redis, seen: Interrupts) -> None:
    """Lets results come together, until the last of the jobs rests: a part file costs more than a few rows."""
    deadline = time.monotonic() + GATHER_SECONDS
    while time.monotonic() < deadline and not seen.count:
        time.sleep(_LOOK_SECONDS)
        with contextlib.suppress(redis_py.RedisError):  # the next round says so
            if not jobs.running(redis):
                break


def _say(line: str) -> None:
    log("notice", text=line)


def _round(
    redis: Redis, collectors: dict[str, Collector], job: str | None, to: Path | None
) -> tuple[int, list[Status]]:
    """Takes what has come of the job, or of every job; says how much that was, and how far the jobs are."""
    wanted = [jobs.find(redis, job)] if job is not None else jobs.ids(redis)
    readings = [status_of(redis, name) for name in wanted]
    taken = 0
    for reading in readings:
        if reading.uncollected or job is not None:
            folder = _folder(reading.job, to, alone=job is not None)
            mine = collectors.setdefault(reading.job, Collector(redis, reading.job, folder))
            taken += _step(mine, alone=job is not None)
    return taken, readings


def _folder(job: str, to: Path | None, *, alone: bool) -> Path:
    return folders.job(job) if to is None else to if alone else to / job


def _step(collector: Collector, alone: bool) -> int:
    """Takes what has come of one job; of several jobs, one that another command collects is left to it."""
    try:
        return collector.step()
    except CollectedElsewhere:
        if alone:
            raise
        collector.close()
        return 0


def export(
    job: JobId = None,
    to: Annotated[Path | None, typer.Option("--to", help="The file; its ending says the format.")] = None,
    form: Annotated[str | None, typer.Option("--format", help="jsonl, parquet, csv or chat.")] = None,
    source: Annotated[Path | None, typer.Option("--from", help="A folder of part files.")] = None,
) -> None:
    """Writes a job's accepted examples to one file, in their order.

    Example: genfleet export quiz-3f9a1c2b --to quiz.parquet
    """
    if source is None:
        with ledger() as redis:
            job = jobs.find(redis, job)
            _collect_now(redis, job)
        source = folders.job(job)
    to = to or Path(f"{job or source.name}.jsonl")
    print(f"{write_export(source, to, form)} examples in {to}", file=sys.stderr)


def _collect_now(redis: Redis, job: str) -> None:
    """Takes what there is; where another command collects the job, what that has stored so far has to do."""
    collector = Collector(redis, job, folders.job(job))
    with contextlib.suppress(CollectedElsewhere):
        collector.drain()
        collector.close()


def report(
    job: JobId = None,
    to: Annotated[Path | None, typer.Option("--to", help="The HTML file; by default JOB.html.")] = None,
) -> None:
    """Writes all there is to see of a job to one HTML file: curves, cost, failures, coverage, lengths, examples.

    It needs nothing else and asks nothing of any network; it can be sent, kept and printed.

    Example: genfleet report quiz-3f9a1c2b --to quiz.html
    """
    from console.report import write_report  # noqa: PLC0415  numpy and templates, which other commands do not need

    with ledger() as redis:
        job = jobs.find(redis, job)
        _collect_now(redis, job)
        to = to or Path(f"{job}.html")
        write_report(redis, job, folders.job(job), to)
    print(f"Report: {to}", file=sys.stderr)
