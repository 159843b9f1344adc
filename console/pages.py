"""Pages for people: the job's report, and the fleet's page beside Flower's own."""

from __future__ import annotations

import io
import json
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from config.models import models
from console.progress import dollars, span
from console.tables import limits_row
from console.usage import attempts_over_time, summary_of, usage_of
from console.usage_text import table
from ledger import fleet, jobs
from ledger.connection import Redis
from ledger.parts import Parts
from ledger.status import Status, status_of

_TEMPLATES = Path(__file__).with_name("templates")
_JOBS_SHOWN = 50
_WIDTH = 112  # characters of a table that a page has room for

_jinja = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
_jinja.globals.update(dollars=dollars, span=span)


def _rendered(template: str, **names: Any) -> str:
    style = (_TEMPLATES / "style.css").read_text("utf-8")
    return _jinja.get_template(template).render(style=style, **names)


def fleet_page(redis: Redis) -> str:
    """The newest jobs and the limits as they are now, as HTML that renews itself."""
    readings = [status_of(redis, name) for name in jobs.ids(redis)[:_JOBS_SHOWN]]
    rows = [limits_row(redis, name) for name in models()]
    return _rendered("fleet.html", jobs=readings, limits=rows, workers=len(fleet.alive(redis)))


def report_page(status: Status, directory: Path) -> str:
    """One job in pictures and tables, as one HTML file that needs nothing else.

    Args:
        status: the job as the ledger knows it.
        directory: the folder of its part files.
    """
    examples = [
        {"id": one["id"], "text": json.dumps(one["output"], ensure_ascii=False, indent=1)}
        for one in islice(Parts(directory).iterate("accepted"), 3)
    ]
    summary = summary_of(directory)
    return _rendered(
        "report.html",
        job=status,
        now=datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        pictures=_pictures(directory),
        tables=[
            (title, *table(rows, _WIDTH))
            for title, rows in (
                ("By outcome", usage_of(directory, "outcome")),
                ("Errors by reason", summary.groups["reason"]),
                ("By recipe", summary.groups["recipe"]),
                ("By model that answered", usage_of(directory, "answered_by")),
                (f"By {summary.step}, UTC", summary.groups["time"]),
            )
        ],
        examples=examples,
    )


def _pictures(directory: Path) -> list[str]:
    """Throughput and cost over time, and latency, as SVG; none where there are no attempts."""
    over_time, latencies = attempts_over_time(directory)
    if len(over_time) < 2:
        return []
    from matplotlib.figure import Figure  # noqa: PLC0415  half a second that only a report needs

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    throughput, cost, latency = figure.subplots(1, 3)
    minutes = [row[0] / 60 for row in over_time]
    throughput.plot(minutes, [row[1] for row in over_time], color="#2f9e5b", label="accepted")
    throughput.plot(minutes, [row[2] for row in over_time], color="#d9822b", label="not accepted")
    throughput.set(title="calls per second", xlabel="minutes", ylim=(0, None))
    throughput.legend(frameon=False)
    cost.plot(minutes, [row[3] for row in over_time], color="#3b6ea8")
    cost.set(title="cost so far, USD", xlabel="minutes", ylim=(0, None))
    latency.hist(latencies, bins=30, color="#888")
    latency.set(title="latency of calls, seconds", xlabel="seconds")
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return [out.getvalue().partition("<svg")[1] + out.getvalue().partition("<svg")[2]]
