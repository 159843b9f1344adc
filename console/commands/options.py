"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from config import logs
from config.settings import choose_log_format


def _log_in(form: Literal["plain", "json"] | None) -> None:
    if form is not None:
        choose_log_format(form)
        logs.configure()


Rows = Annotated[str | None, typer.Option("--rows", help="JSONL, CSV or Parquet file; - is standard input.")]
Count = Annotated[int | None, typer.Option("--count", "-n", help="Examples in all; by default one per row.")]
ModelId = Annotated[str | None, typer.Option("--model", help="Another model than the recipe's.")]
Budget = Annotated[float | None, typer.Option("--budget", help="The most the job may spend, in USD.")]
Priority = Annotated[
    float | None,
    typer.Option("--priority", help="Its share where several jobs want one model: 3 is three calls to another's one."),
]
Seed = Annotated[int, typer.Option("--seed", help="Other examples from the same recipe and rows.")]
Processes = Annotated[
    int | None, typer.Option("--workers", help="Worker processes to start here; by default 2 if the fleet has none.")
]
Concurrency = Annotated[int, typer.Option("--concurrency", help="Calls in flight per worker process.", min=1)]
SkipBadRows = Annotated[
    Path | None,
    typer.Option("--skip-bad-rows", help="Write rows that cannot be used to this file and go on without them."),
]
LogFormat = Annotated[
    Literal["plain", "json"] | None,
    typer.Option(
        "--log-format",
        callback=_log_in,
        help="Log plain lines, or JSON for a machine; by default GENFLEET_LOG_FORMAT, else plain.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
JobId = Annotated[str | None, typer.Argument(help="A job's id or its beginning; by default the newest.")]
