"""What was used, over all jobs collected on this machine: `usage`."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from config import folders
from config.errors import UserError
from console.tables import show
from console.usage import Summary, summary_of, usage_of
from console.usage_query import FIGURES, GROUPS, Row
from console.usage_text import summary_lines, table

_NONE = "No such attempts are collected on this machine."
_SPANS = {"h": "hours", "d": "days", "w": "weeks"}
_TITLES = {"model": "By model", "recipe": "By recipe", "time": "By {step}, UTC", "reason": "Errors by reason"}
# The mark keeps the help's lines as they are.
_COLUMNS = "\b\nFigures of --csv and --json, after the group:\n" + "\n".join(
    f"  {name:<27}{meaning}".rstrip() for name, meaning in FIGURES.items()
)
_COLUMNS += """

Without --by, --json gives totals, by_model, by_recipe, by_time (in steps of step) and by_reason, after first_at,
last_at, jobs, and attempts_without_counts: those of an earlier version, taken for one example each. --csv gives the
same groups in one table, under by and group."""


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command(epilog=_COLUMNS)(usage)


def usage(
    by: Annotated[str | None, typer.Option("--by", help=f"One table: {', '.join(GROUPS)}. Times are UTC.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only attempts since then: 24h, 7d, 4w, or 2026-11-01 (UTC).")
    ] = None,
    job: Annotated[str | None, typer.Option("--job", help="Only this job: its id or its beginning.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values; without --by all groupings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A list with --by, else one object.")] = False,
) -> None:
    """Requests, tokens, cost, errors and latency of the attempts that were collected on this machine.

    Example: genfleet usage --since 7d --by day
    """
    if as_csv and as_json:
        raise UserError("--csv and --json: choose one of them.")
    moment = None if since is None else _moment(since, datetime.now(UTC))
    folder = _folder(folders.jobs(), job)
    if by is not None:
        _put_rows(usage_of(folder, by, moment), by, as_csv, as_json)
    else:
        _put_summary(summary_of(folder, moment), as_csv, as_json)


def _put_rows(rows: list[Row], by: str, as_csv: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, default=float))
    elif as_csv:
        _write_csv([by], (([row[by]], row) for row in rows))
    else:
        show(*table(rows, _width()), empty=_NONE)


def _put_summary(summary: Summary, as_csv: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_as_object(summary), default=float))
    elif as_csv:
        rows: list[tuple[list[Any], Row]] = [(["total", None], summary.totals)]
        rows += [([name, row[name]], row) for name, group in summary.groups.items() for row in group]
        _write_csv(["by", "group"], rows)
    elif not summary.totals["attempts"]:
        print(_NONE)
    else:
        for line in summary_lines(summary):
            print(line)
        for name, group in summary.groups.items():
            if group:
                print(f"\n{_TITLES[name].format(step=summary.step)}")
                show(*table(group, _width()))


def _width() -> int | None:
    """The terminal's width, where there is one."""
    console = Console()
    return console.width if console.is_terminal else None


def _as_object(summary: Summary) -> dict[str, Any]:
    first, last = (at and at.replace(tzinfo=UTC).isoformat() for at in (summary.first, summary.last))
    about = {"first_at": first, "last_at": last, "jobs": summary.jobs, "step": summary.step}
    groups = {f"by_{name}": rows for name, rows in summary.groups.items()}
    return about | {"attempts_without_counts": summary.guessed, "totals": summary.totals} | groups


def _write_csv(groups: list[str], rows: Iterable[tuple[list[Any], Row]]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow([*groups, *FIGURES])
    for group, row in rows:
        figures = (row[name] for name in FIGURES)
        # An amount is written out in full: 0.000000001 and not 1E-9.
        writer.writerow([*group, *(f"{one:f}" if isinstance(one, Decimal) else one for one in figures)])


def _moment(text: str, now: datetime) -> datetime:
    """The moment that `since` names, in UTC without a time zone."""
    span = re.fullmatch(r"(\d+)([hdw])", text)
    try:
        if span:
            moment = now - timedelta(**{_SPANS[span[2]]: int(span[1])})
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UserError(
            f'since: "{text}" is neither a span such as 24h, 7d or 4w nor a date such as 2026-11-01.'
        ) from error
    return moment.replace(tzinfo=None)


def _folder(jobs: Path, job: str | None) -> Path:
    """The folder of all jobs, or that of the job with this id or unmistakable beginning."""
    if job is None:
        return jobs
    known = sorted(path.name for path in jobs.glob("*/"))
    matches = [name for name in known if name == job] or [name for name in known if name.startswith(job)]
    if not matches:
        raise UserError(f'job: nothing of "{job}" is collected in {jobs}; collect it first: genfleet collect {job}')
    if len(matches) > 1:
        raise UserError(
            f'job: "{job}" begins {len(matches)} ids, {matches[0]} and {matches[1]} among them; give more of it.'
        )
    return jobs / matches[0]
