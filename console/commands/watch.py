"""Seeing how far jobs are: `watch`, `status`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Annotated

import redis as redis_py
import typer

from config import folders
from config.logs import tell
from console.broker import ledger
from console.commands.options import AsJson, JobId, LogFormat
from console.interrupts import interrupts
from console.reading.job import JobReader
from console.reading.next_step import next_steps
from console.reading.watching import FIELDS, Watcher
from console.screens.jobs import ordered, table
from console.screens.page import page
from console.summary import headline
from console.tables import put
from ledger import fleet, jobs
from ledger.connection import Redis
from ledger.jobs import AT_REST
from ledger.results import CollectedElsewhere
from ledger.status import Status, status_of, statuses_of

JsonLines = Annotated[
    bool, typer.Option("--json", help="Readings as JSON, one a line; the last line is that of status --json.")
]
Every = Annotated[
    float | None, typer.Option("--every", help="Seconds between two lines; by default they grow rarer.", min=0.1)
]
# The mark keeps the help's lines as they are.
_FIELDS = "\b\nFields of --json, besides those of status --json:\n" + "\n".join(
    f"  {name:<18}{meaning}" for name, meaning in FIELDS.items()
)


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.command(epilog=_FIELDS)(watch)
    app.command()(status)


def watch(job: JobId = None, as_json: JsonLines = False, every: Every = None, log_format: LogFormat = None) -> None:
    """Shows a job until it is complete, and collects its results on the way unless another command does.

    Ctrl-C leaves the job running.

    Example: genfleet watch
    """
    # With DuckDB behind them, of which `status` needs nothing.
    from console.following import follow  # noqa: PLC0415
    from console.progress import Progress  # noqa: PLC0415
    from ledger.collector import Collector  # noqa: PLC0415

    with ledger() as redis, interrupts() as seen, contextlib.ExitStack() as stack:
        job = jobs.find(redis, job)
        try:
            with Progress(every, json_lines=as_json) as progress:
                collector = Collector(redis, job, folders.job(job))
                try:
                    collector.start()
                    stack.callback(collector.stop)
                except CollectedElsewhere as elsewhere:
                    progress.say(str(elsewhere))
                last = follow(redis, job, progress, seen)
                progress.show(Watcher(redis, job).read(last), last=True)
            stack.close()
            # What came last is collected now.
            last = status_of(redis, job)
        except redis_py.RedisError as error:
            if not seen.count:
                raise
            tell(f"The broker does not answer ({type(error).__name__}); nothing is lost.")
            tell(f"To see {job} again: genfleet watch {job}")
            sys.exit(130)
        if as_json:
            print(status_of(redis, job).model_dump_json(), flush=True)
        for line in _left_running(redis, last) if seen.count and last.state not in AT_REST else _ended(last):
            tell(line)
    sys.exit(130 if seen.count else 0 if last.state == "complete" else 1)


def _ended(last: Status) -> Iterator[str]:
    yield headline(last)
    yield f"Results: {folders.job(last.job)}"
    if last.note:
        yield f"Stopped: {last.note}"
    yield from map(str, next_steps(last))


def _left_running(redis: Redis, last: Status) -> Iterator[str]:
    """What a person who leaves the display wants to know: the job goes on, and how to come back."""
    yield f"{last.job}: {last.settled:,} of {last.total:,} settled; it goes on without this display."
    yield from map(str, next_steps(last, workers=len(fleet.alive(redis))))
    yield f"Back to it: genfleet watch {last.job}"
    yield f"No more calls for now: genfleet pause {last.job}"


def status(job: JobId = None, as_json: AsJson = False) -> None:
    """One reading of a job, or of all jobs: those that run on top, then the newest first.

    Example: genfleet status quiz-3f9a1c2b --json
    """
    with ledger() as redis:
        if as_json:
            print(status_of(redis, jobs.find(redis, job)).model_dump_json())
        elif job is not None:
            watched = Watcher(redis, jobs.find(redis, job)).read()
            put(lambda width, _: page(watched, width), wide=100)
        else:
            _put_all(redis)


def _put_all(redis: Redis) -> None:
    known = ordered(statuses_of(redis, jobs.ids(redis)))
    if not known:
        print("There is no job yet: genfleet submit RECIPE --count N")
        return
    views = {one.job: JobReader(redis, one.job).read(one) for one in known if one.state == "running"}
    put(lambda width, height: table(known, views, width, height))
