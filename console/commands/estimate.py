"""`genfleet estimate`: what a job will probably cost and how long it will take, before it is started."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from config import folders
from config.money import NANO
from config.settings import settings
from console.before_start import capacity_here, planned_job
from console.broker import ledger
from console.commands.options import AsJson, Concurrency, Count, ModelId, Processes, Rows, Seed, SkipBadRows
from console.estimate_text import as_json as json_of
from console.estimate_text import cost, page
from console.local import run_here
from console.progress import Progress
from console.reading.words import dollars
from ledger import jobs
from ledger.connection import Redis
from producers.estimate import estimate as estimated
from producers.known import look
from producers.pilot import CALLS, needed, pilot
from producers.plan import Plan, SubmitError


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(estimate)


def estimate(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or file; several separated by commas.")],
    rows: Rows = None,
    count: Count = None,
    model_id: ModelId = None,
    seed: Seed = 0,
    skip_bad_rows: SkipBadRows = None,
    with_pilot: Annotated[
        bool, typer.Option("--pilot", help="Make 20 calls of it first, where fewer were made, and estimate from them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a pilot is paid for.")] = False,
    workers: Processes = None,
    concurrency: Concurrency = 50,
    as_json: AsJson = False,
) -> None:
    """Says what a job will probably cost and how long it will take, from earlier calls of the recipe or from a pilot.

    Nothing is enqueued and nothing is paid, but for a pilot that you ask for.

    Example: genfleet estimate quiz --count 20000 --pilot
    """
    planned = planned_job(recipe, rows, count, model_id, seed, skip_bad_rows)
    if with_pilot and planned.units <= CALLS:
        raise SubmitError(
            f"count: a job of {planned.units} calls is no larger than a pilot of {CALLS}; run it with a --budget."
        )
    made_by: str | None = None
    finished = True
    with _ledger(with_pilot) as redis:
        capacity = capacity_here(redis, workers, concurrency)
        if with_pilot and redis is not None:
            made_by, finished = _make_pilot(redis, planned, yes)
        # The whole job is estimated, also where a part of it is made.
        known = dataclasses.replace(look(redis, planned, capacity), left=None)
        made = estimated(planned, known)
    if as_json:
        print(json.dumps(json_of(made, known, planned, made_by)))
    else:
        for name, value in page(made, known, planned, made_by is not None):
            print(f"{name:<8}{value}")
        if made.guessed:
            print("With --pilot it makes 20 calls of what is not known, and estimates from them.")
    if not finished:
        sys.exit(1)


@contextlib.contextmanager
def _ledger(needed: bool) -> Iterator[Redis | None]:
    """The fleet's broker, or this machine's own; None where there never was one and none is needed."""
    if settings().redis_url is None and not needed and not folders.broker().exists():
        yield None
        return
    with ledger() as redis:
        yield redis


def _make_pilot(redis: Redis, planned: Plan, yes: bool) -> tuple[str | None, bool]:
    """Makes what is needed of a pilot: its id, None where enough is known, and whether it came to its end."""
    known = look(redis, planned)
    recipes = needed(planned, known.figures)
    if not recipes:
        return None, True
    small, worst = pilot(planned, recipes)
    if small.id not in jobs.ids(redis) or jobs.state(redis, small.id) != "complete":
        guess = estimated(small, look(redis, small))
        names = ", ".join(part.recipe.name for part in small.parts)
        rows = f", with {CALLS} rows from all over the job's" if small.rows else ""
        print(f"Pilot {small.id}: {small.units} calls of {names}{rows}.", file=sys.stderr)
        print(f"It costs {cost(guess)}, and never more than {dollars(worst / NANO)}.", file=sys.stderr)
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            typer.confirm("Make it?", abort=True, err=True)
        with Progress() as progress:
            status = run_here(
                redis, small, budget_usd=worst / NANO, processes=None, concurrency=CALLS, progress=progress
            )
        done = status.state in ("complete", "budget")
        note = f": {status.note}" if status.note else ""
        how = "" if done else f" The pilot did not come to its end ({status.state}{note})."
        print(f"It cost {dollars(status.cost_usd)}; its examples are in {folders.job(small.id)}.{how}", file=sys.stderr)
        return small.id, done
    return small.id, True
