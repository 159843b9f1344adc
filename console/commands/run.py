"""Making a dataset: `genfleet run`, `submit` and `worker`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from config import folders
from config.logs import log, tell
from config.models import model, models
from config.settings import missing_key, settings
from console.before_start import capacity_here, planned_job, say_before
from console.broker import ledger
from console.commands.options import (
    AsJson,
    Budget,
    Concurrency,
    Count,
    LogFormat,
    ModelId,
    Priority,
    Processes,
    Rows,
    Seed,
    SkipBadRows,
)
from console.commands.watch import Every
from console.export import export, format_of
from console.local import run_here
from console.progress import Progress
from console.summary import summary
from ledger.connection import fleet_broker
from producers import submission
from producers.collected import read as read_collected
from producers.plan import SubmitError
from workers.orphan import end_with_parent


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.command()(run)
    app.command()(submit)
    app.command()(worker)


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or file; several separated by commas.")],
    rows: Rows = None,
    count: Count = None,
    model_id: ModelId = None,
    budget: Budget = None,
    priority: Priority = None,
    seed: Seed = 0,
    to: Annotated[Path | None, typer.Option("--to", help="The dataset: .jsonl, .parquet, .csv or .chat.jsonl.")] = None,
    workers: Processes = None,
    concurrency: Concurrency = 50,
    skip_bad_rows: SkipBadRows = None,
    as_json: AsJson = False,
    every: Every = None,
    log_format: LogFormat = None,
) -> None:
    """Makes a dataset on this machine: starts what is not running, submits, follows, collects, exports, reports.

    The same command again goes on where it stopped. Without REDIS_URL it uses a broker of its own. With --json and
    --every it gives readings as watch --json does, before the one object that --json is without.

    Example: genfleet run quiz --count 500 --budget 2 --to quiz.jsonl
    """
    planned = planned_job(recipe, rows, count, model_id, seed, skip_bad_rows)
    if to is not None:
        format_of(to, None)
    with ledger() as redis, Progress(every, json_lines=as_json and every is not None) as progress:
        if progress.is_live:
            progress.wait("Looking at what there is to do")
        say_before(progress.say, redis, planned, budget, lambda: capacity_here(redis, workers, concurrency))
        status = run_here(
            redis,
            planned,
            budget_usd=budget,
            priority=priority,
            processes=workers,
            concurrency=concurrency,
            progress=progress,
        )
        # Imported here: numpy and templates, which submitting and working need not wait for.
        from console.report.after_run import report_after  # noqa: PLC0415

        report = report_after(redis, status)
    written = None
    if to is not None and status.accepted:
        written = export(folders.job(status.job), to)
    if as_json:
        print(status.model_dump_json())
    summary(status, to if written is not None else None, written)
    if report is not None:
        tell(report)
    if status.state != "complete":
        sys.exit(1)


def submit(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or file; several separated by commas.")],
    rows: Rows = None,
    count: Count = None,
    model_id: ModelId = None,
    budget: Budget = None,
    priority: Priority = None,
    seed: Seed = 0,
    skip_bad_rows: SkipBadRows = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="After the broker has lost the job: go on from what was collected here."),
    ] = None,
    log_format: LogFormat = None,
) -> None:
    """Enqueues a job for the fleet at REDIS_URL and prints its id alone; the same submission again resumes it.

    Example: JOB=$(genfleet submit rag --rows passages.jsonl --budget 20)
    """
    planned = planned_job(recipe, rows, count, model_id, seed, skip_bad_rows)
    redis = fleet_broker("enqueuing for a fleet")
    collected = None if resume is None else read_collected(resume, planned.id, planned.spec)
    say_before(lambda line: log("notice", text=line), redis, planned, budget)
    going = submission.start(redis, planned, budget, priority, collected)
    if collected is not None:
        settled = collected.books.accepted + collected.books.rejected
        log("notice", text=f"{settled:,} of {planned.spec.total:,} examples are in {resume}; the others go on.")
    print(planned.id, flush=True)
    if not going:
        log("notice", text=f"{planned.id} is complete already.")
        return

    def told(sent: int, units: int) -> None:
        if units > settings().queue_depth:
            log("job_enqueuing", job=planned.id, sent=sent, units=units)

    # However it is ended, it lets go of the job, so that the same submission may follow at once.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        submission.feed(redis, planned, told, collected=collected)
    except KeyboardInterrupt:
        log("notice", text="Stopped; the same command again enqueues the rest.")
        sys.exit(130)


def worker(
    processes: Annotated[int, typer.Option("--processes", "-p", help="Worker processes.", min=1)] = 2,
    concurrency: Annotated[int, typer.Option("--concurrency", "-c", help="Calls in flight per process.", min=1)] = 100,
    model_ids: Annotated[
        list[str] | None, typer.Option("--model", help="Take only this model's tasks; may be given several times.")
    ] = None,
    log_format: LogFormat = None,
) -> None:
    """Joins the fleet at REDIS_URL. SIGTERM or Ctrl-C lets calls in flight end, a second one stops at once.

    Example: genfleet worker --processes 4 --concurrency 100
    """
    # Imported here: producers' commands need nothing of it.
    from workers.supervisor import Supervisor  # noqa: PLC0415

    redis = fleet_broker("a worker", waiting=lambda why: log("broker_awaited", why=why))
    wanted = [model(name) for name in model_ids] if model_ids else list(models().values())
    able = [found.name for found in wanted if found.provider.key() is not None]
    for found in wanted:
        if found.name not in able:
            log("model_not_taken", why=missing_key(found.provider.api_key_env, f"{found.name}: not taken; it"))
    if not able:
        raise SubmitError("no model's key is set, so this worker could take no task.")
    supervisor = Supervisor(redis, able, processes, concurrency)
    end_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    log("worker_started", processes=processes, models=", ".join(able))
    sys.exit(supervisor.run(lambda: log("worker_stopping", seconds=settings().grace_seconds)))
