"""The fleet's page beside Flower's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from config.models import models
from console.progress import dollars, span
from console.tables import limits_row
from ledger import fleet, jobs
from ledger.connection import Redis
from ledger.status import status_of

_TEMPLATES = Path(__file__).with_name("templates")
_JOBS_SHOWN = 50

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
