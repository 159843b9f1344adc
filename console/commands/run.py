"""Making a dataset: `genfleet run`, `submit` and `worker`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from config.models import model, models
from config.settings import missing_key, settings
from console.before_start import capacity_here, say_before
from console.commands.options import (
    AsJson,
    Budget,
    Concurrency,
    Count,
    ModelId,
    Priority,
    Processes,
    Rows,
    Seed,
    SkipBadRows,
)
from console.export import export, format_of
from console.local import job_folder, run_here
from console.progress import Progress, dollars, span
from console.services import broker
from ledger.connection import connect
from ledger.jobs import Status
from producers import submission
from workers.app import use_broker


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.command()(run)
    app.command()(submit)
    app.command()(worker)


def _plan(
    recipe: str, rows: str | None, count: int | None, model_id: str | None, seed: int, skip: Path | None
) -> submission.Plan:
    planned = submission.plan(recipe, count=count, rows=rows, model_id=model_id, seed=seed, skip_bad_rows=skip)
    if planned.bad_rows:
        print(f"{planned.bad_rows} rows cannot be used: they and the reasons are in {skip}.", file=sys.stderr)
    return planned


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
) -> None:
    """Makes a dataset on this machine: starts what is not running, submits, follows, collects, exports.

    The same command again goes on where it stopped. Without REDIS_URL it uses a broker of its own.

    Example: genfleet run quiz --count 500 --budget 2 --to quiz.jsonl
    """
    planned = _plan(recipe, rows, count, model_id, seed, skip_bad_rows)
    if to is not None:
        format_of(to, None)
    with broker() as url:
        use_broker(url)
        redis = connect(url)
        with Progress() as progress:
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
    written = None
    if to is not None and status.accepted:
        written = export(job_folder(status.job), to)
    if as_json:
        print(status.model_dump_json())
    summary(status, to if written is not None else None, written)
    if status.state != "complete":
        sys.exit(1)


def summary(status: Status, to: Path | None, written: int | None) -> None:
    """What came of a job, on standard error."""
    rate = status.settled / status.seconds if status.seconds else 0.0
    lines = [
        f"{status.job}: {status.accepted} accepted, {status.rejected} rejected of {status.total}, "
        f"{dollars(status.cost_usd)}, {span(status.seconds)}, {rate:.1f}/s"
    ]
    if to is not None:
        lines.append(f"Dataset: {to} ({written} examples)")
    else:
        lines.append(f"Results: {job_folder(status.job)}")
    match status.state:
        case "complete":
            pass
        case "budget":
            own = f"Stopped by the budget of {dollars(status.budget_usd or 0)}: "
            more = "run the same command with a higher --budget to go on."
            lines.append(f"Stopped: {status.note}" if status.note else own + more)
        case "stopped":
            lines.append(f"Stopped: {status.note}")
        case _:
            lines.append(f"Not complete ({status.state}): run the same command again to go on.")
    print("\n".join(lines), file=sys.stderr)


def submit(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or file; several separated by commas.")],
    rows: Rows = None,
    count: Count = None,
    model_id: ModelId = None,
    budget: Budget = None,
    priority: Priority = None,
    seed: Seed = 0,
    skip_bad_rows: SkipBadRows = None,
) -> None:
    """Enqueues a job for the fleet at REDIS_URL and prints its id alone; the same submission again resumes it.

    Example: JOB=$(genfleet submit rag --rows passages.jsonl --budget 20)
    """
    planned = _plan(recipe, rows, count, model_id, seed, skip_bad_rows)
    redis = submission.broker()
    say_before(lambda line: print(line, file=sys.stderr, flush=True), redis, planned, budget)
    going = submission.start(redis, planned, budget, priority)
    print(planned.id, flush=True)
    if not going:
        print(f"{planned.id} is complete already.", file=sys.stderr)
        return

    def told(sent: int, units: int) -> None:
        if units > settings().queue_depth:
            print(f"{sent:,} of {units:,} tasks enqueued", file=sys.stderr, flush=True)

    # However it is ended, it lets go of the job, so that the same submission may follow at once.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        submission.feed(redis, planned, told)
    except KeyboardInterrupt:
        print("Stopped; the same command again enqueues the rest.", file=sys.stderr)
        sys.exit(130)


def worker(
    processes: Annotated[int, typer.Option("--processes", "-p", help="Worker processes.", min=1)] = 2,
    concurrency: Annotated[int, typer.Option("--concurrency", "-c", help="Calls in flight per process.", min=1)] = 100,
    model_ids: Annotated[
        list[str] | None, typer.Option("--model", help="Take only this model's tasks; may be given several times.")
    ] = None,
) -> None:
    """Joins the fleet at REDIS_URL. SIGTERM or Ctrl-C lets calls in flight end, a second one stops at once.

    Example: genfleet worker --processes 4 --concurrency 100
    """
    # Imported here: producers' commands need nothing of it.
    from workers.supervisor import Supervisor  # noqa: PLC0415

    redis = submission.broker(what="a worker")
    wanted = [model(name) for name in model_ids] if model_ids else list(models().values())
    able = [found.name for found in wanted if found.provider.key() is not None]
    for found in wanted:
        if found.name not in able:
            print(missing_key(found.provider.api_key_env, f"{found.name}: not taken; it"), file=sys.stderr)
    if not able:
        raise submission.SubmitError("no model's key is set, so this worker could take no task.")
    supervisor = Supervisor(redis, able, processes, concurrency)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    print(f"{processes} worker processes take {', '.join(able)}", file=sys.stderr, flush=True)
    sys.exit(supervisor.run())
