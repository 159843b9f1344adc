"""Seeing how far jobs are and taking their results: `watch`, `status`, `collect`, `export`."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from config import folders
from config.errors import UserError
from console.broker import ledger
from console.commands.options import AsJson, JobId
from console.export import export as write_export
from console.interrupts import interrupts
from console.local import follow
from console.pages import report_page
from console.progress import Progress, dollars
from console.summary import summary
from console.tables import show
from ledger import jobs
from ledger.collector import Collector
from ledger.connection import Redis
from ledger.jobs import AT_REST
from ledger.results import CollectedElsewhere
from ledger.status import status_of


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    for command in (watch, status, collect, export, report):
        app.command()(command)


def watch(job: JobId = None) -> None:
    """Shows a job until it is complete, and collects its results on the way unless another command does.

    Example: genfleet watch
    """
    with ledger() as redis, interrupts() as seen, contextlib.ExitStack() as stack:
        job = jobs.find(redis, job)
        with Progress() as progress:
            collector = Collector(redis, job, folders.job(job))
            try:
                collector.start()
                stack.callback(collector.stop)
            except CollectedElsewhere as elsewhere:
                progress.say(str(elsewhere))
            last = follow(redis, job, progress, seen)
            progress.show(last, last=True)
        summary(last, None, None)
    sys.exit(130 if seen.count else 0 if last.state == "complete" else 1)


def status(job: JobId = None, as_json: AsJson = False) -> None:
    """One reading of a job, or of all jobs.

    Example: genfleet status quiz-3f9a1c2b --json
    """
    with ledger() as redis:
        if job is not None or as_json:
            reading = status_of(redis, jobs.find(redis, job))
            print(reading.model_dump_json() if as_json else reading.model_dump_json(indent=2))
            return
        readings = [status_of(redis, name) for name in jobs.ids(redis)]
        show(
            ("job", "model", "state", "accepted", "rejected", "total", "cost"),
            (
                (
                    *(one.job, one.model, one.state),
                    *(f"{number:,}" for number in (one.accepted, one.rejected, one.total)),
                    dollars(one.cost_usd),
                )
                for one in readings
            ),
            left=3,
            empty="There is no job yet: genfleet submit RECIPE --count N",
        )


def collect(
    job: Annotated[str | None, typer.Argument(help="A job's id or its beginning; without one, every job.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Folder for the part files.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Go on with jobs that are still to come.")] = False,
) -> None:
    """Takes results out of the broker into part files until the job is complete; Ctrl-C stops, nothing is lost.

    Example: genfleet collect quiz-3f9a1c2b --to results/
    """
    with ledger() as redis, interrupts() as seen:
        collectors: dict[str, Collector] = {}
        try:
            while not seen.count:
                wanted = [jobs.find(redis, job)] if job is not None else jobs.ids(redis)
                readings = [status_of(redis, name) for name in wanted]
                taken = 0
                for reading in readings:
                    if reading.uncollected or job is not None:
                        folder = folders.job(reading.job) if to is None else to if job is not None else to / reading.job
                        mine = collectors.setdefault(reading.job, Collector(redis, reading.job, folder))
                        taken += _step(mine, alone=job is not None)
                if not taken and not forever and all(reading.state in AT_REST for reading in readings):
                    break
                if not taken:
                    time.sleep(0.5)
        finally:
            for name, collector in collectors.items():
                if collector.parts.is_open:
                    collector.drain()
                    collector.close()
                parts = collector.parts
                counts = f"{parts.count('accepted')} accepted, {parts.count('rejected')} rejected"
                print(f"{name}: {counts} in {parts.directory}", file=sys.stderr)


def _step(collector: Collector, alone: bool) -> int:
    """Takes what has come of one job; of several jobs, one that another command collects is left to it."""
    try:
        return collector.step(block_ms=0)
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
    """Writes a job's report: throughput, cost, failures by cause, latency, and some of its examples, as one HTML file.

    Example: genfleet report quiz-3f9a1c2b --to quiz.html
    """
    with ledger() as redis:
        job = jobs.find(redis, job)
        _collect_now(redis, job)
        page = report_page(status_of(redis, job), folders.job(job))
    to = to or Path(f"{job}.html")
    try:
        to.write_text(page, "utf-8")
    except OSError as error:
        raise UserError(f"{to}: cannot be written ({error.strerror}).") from None
    print(f"Report: {to}", file=sys.stderr)
