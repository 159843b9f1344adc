"""Acting on jobs and limits: `retry`, `pause`, `resume`, `cancel`, `limits`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from config.models import model, models
from config.money import NANO, to_nano_usd
from console import acting
from console.broker import ledger
from console.commands.options import JobId, Priority
from console.reading.words import dollars
from console.tables import limits_row, show
from ledger import budget as ledger_budget
from ledger import jobs
from ledger import limits as ledger_limits
from ledger.status import status_of
from producers.plan import SubmitError
from workers.app import app as celery
from workers.app import task_name


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    for command in (retry, pause, resume, cancel, limits):
        app.command()(command)


def retry(
    job: JobId = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Only those rejected for this reason.")] = None,
) -> None:
    """Enqueues a job's rejected examples again.

    Example: genfleet retry quiz-3f9a1c2b --reason timeout
    """
    with ledger() as redis:
        job = jobs.find(redis, job)
        units = acting.retry(redis, job, reason)
        reading = status_of(redis, job)
        known = {name.partition(":")[2] for name in reading.reasons if name.startswith("rejected:")}
        why = f" for {reason}" if reason else ""
        print(f"{job}: {units} tasks rejected{why} are enqueued again.", file=sys.stderr)
        if not units and reason and known:
            print(f"It has examples rejected for {', '.join(sorted(known))}.", file=sys.stderr)
        if units:
            _say(acting.missing(reading))


def pause(job: JobId = None) -> None:
    """Makes no more calls for a job; those in flight end. `genfleet resume` goes on.

    Example: genfleet pause quiz-3f9a1c2b
    """
    _rest(job, "paused")


def cancel(job: JobId = None) -> None:
    """Ends a job; what is settled stays, calls in flight end.

    Example: genfleet cancel quiz-3f9a1c2b
    """
    _rest(job, "cancelled")


def _rest(job: str | None, state: jobs.State) -> None:
    with ledger() as redis:
        job = jobs.find(redis, job)
        reading = acting.rest(redis, job, state)
        print(f"{job}: {reading.state}, {reading.settled} of {reading.total} settled.", file=sys.stderr)


def resume(
    job: JobId = None,
    budget: Annotated[float | None, typer.Option("--budget", help="The most the job may spend in all, in USD.")] = None,
    priority: Priority = None,
) -> None:
    """Goes on with a job that is paused, stopped, cancelled or at the end of its budget; changes one that runs.

    Example: genfleet resume quiz-3f9a1c2b --budget 50 --priority 3
    """
    with ledger() as redis:
        job = jobs.find(redis, job)
        sent, reading = acting.resume(redis, job, budget, priority)
        print(f"{job}: {reading.state}, {sent} tasks enqueued.", file=sys.stderr)
        _say(acting.missing(reading))


def _say(more: str) -> None:
    if more:
        print(more, file=sys.stderr)


def limits(
    model_id: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="A model; by default all.")] = None,
    rpm: Annotated[float | None, typer.Option("--rpm", help="Requests per minute; 0 takes the limit away.")] = None,
    tpm: Annotated[float | None, typer.Option("--tpm", help="Tokens per minute; 0 takes the limit away.")] = None,
    concurrent: Annotated[int | None, typer.Option("--concurrent", help="Calls in flight; 0 takes it away.")] = None,
    daily_budget: Annotated[
        float | None,
        typer.Option("--daily-budget", help="USD that the fleet may spend in a day (UTC); 0 for no bound."),
    ] = None,
) -> None:
    """Shows the fleet's limits and its budget, or changes them while it runs, for every worker at once.

    Example: genfleet limits anthropic/claude-haiku-4.5 --rpm 300
    """
    changes = {"requests_per_minute": rpm, "tokens_per_minute": tpm, "concurrent_requests": concurrent}
    given = {name: value or None for name, value in changes.items() if value is not None}
    for name, value in (changes | {"daily_budget": daily_budget}).items():
        if value is not None and value < 0:
            raise SubmitError(f"{name}: {value} is no limit; give a number above 0, or 0 for none.")
    if given and model_id is None:
        raise SubmitError("limits: of which model? Name one; `genfleet models` lists them.")
    with ledger() as redis:
        ledger_budget.declare(redis)
        if daily_budget is not None:
            ledger_budget.change(redis, to_nano_usd(daily_budget) if daily_budget else None)
        wanted = [model(model_id)] if model_id else list(models().values())
        for one in wanted:
            ledger_limits.declare(redis, one)
        if given and model_id:
            ledger_limits.change(redis, model_id, given)
            if "requests_per_minute" in given:
                # So that Flower and `celery inspect` show what is in force.
                celery.control.rate_limit(task_name(model_id), f"{given['requests_per_minute'] or 0:g}/m")
        show(
            ("model", "requests/min", "tokens/min", "concurrent", "in flight", "last minute", "429s", "of limit"),
            (limits_row(redis, one.name) for one in wanted),
            left=1,
        )
        books = ledger_budget.read(redis)
        spent = f"Today (UTC) the fleet has spent {dollars(books.spent / NANO)}"
        unknown = f", and at most {dollars(books.unknown / NANO)} that is unknown" if books.unknown else ""
        bound = "no daily budget bounds it" if books.per_day is None else f"of {dollars(books.per_day / NANO)} a day"
        print(f"{spent}{unknown}; {bound}." if books.per_day is None else f"{spent}{unknown}, {bound}.")
