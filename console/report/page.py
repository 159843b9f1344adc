"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from console import reader
from console.reading.words import span
from console.report import distributions, figures, maps, over_time
from console.report.attempts import Histogram
from console.report.charts import Chart
from console.report.compared import compared
from console.report.coverage import Coverage, Pair, name_of, telling
from console.report.duplicates import THRESHOLD
from console.report.facts import Facts
from console.report.lengths import lengths
from console.report.limits_picture import limits_over_time
from console.report.minhash import WORDS
from console.report.money_spent import spent
from console.report.notes import notes
from console.report.survey import Field, texts
from console.usage_text import money
from producers.expand import shares

_TEMPLATES = Path(__file__).parents[1] / "templates"
_MOST_BARS = 12
_MAPS = 6
_FEW_RECIPES = 3
_FEWEST = 10  # values that a distribution is drawn of
_VARIABLE = 300  # characters of a variable under an example
_TWIN = 600  # characters of a near-duplicate


def page(facts: Facts, now: datetime) -> str:
    """The report's HTML; `now` is when its readings were taken."""
    line = facts.seen.timeline
    jinja = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {
        "whole": figures.whole,
        "percent": figures.percent,
        "due": figures.due,
        "seconds": figures.seconds,
        "span": span,
    }
    jinja.globals |= {"money": money, "nano": _usd, "plural": figures.plural, "title": _title}
    return jinja.get_template("report.html").render(
        style=Markup((_TEMPLATES / "report.css").read_text("utf-8") + reader.STYLE),  # noqa: S704  our own
        facts=facts,
        job=facts.status,
        spec=facts.spec,
        now=_moment(now.timestamp()),
        began=_moment(line.first) if line.steps else None,
        ended=_moment(line.last) if line.steps else None,
        notes=notes(facts),
        per_accepted=_usd(facts.status.cost_nano_usd) / facts.status.accepted if facts.status.accepted else None,
        asked={share.recipe.name: share.examples for share in shares(facts.spec.recipes, facts.spec.total)},
        by_recipe={row["recipe"]: row for row in facts.seen.recipes},
        spent=spent(facts),
        charts=charts(facts),
        lengths=list(lengths(facts)),
        maps={one.recipe: [maps.heat_map(pair) for pair in _drawn(one, facts)] for one in facts.coverage},
        cards=len(facts.coverage) <= _FEW_RECIPES,
        most_bars=_MOST_BARS,
        examples=[_example(one) for one in facts.survey.shown],
        twins=[(pair, *compared(_text(pair.first), _text(pair.second))) for pair in facts.survey.duplicates.twins],
        threshold=THRESHOLD,
        words=WORDS,
    )


def charts(facts: Facts) -> dict[str, list[Chart]]:
    """The charts of each section, as far as there is something to draw."""
    found, line = facts.seen, facts.seen.timeline
    several = len(line.steps) > 1
    causes = [(one.reason, one.again, one.rejected) for one in facts.failures if one.again + one.rejected]
    drawn: dict[str, list[Chart]] = {
        "throughput": [over_time.throughput(line), _flying(facts)] if several else [],
        "limits": [limits_over_time(facts.limits, line.seconds)]
        if several and facts.limits and facts.limits.uses
        else [],
        "latency": [over_time.latency_over_time(line)] if several and found.latency else [],
        "cost": [over_time.cost_over_time(line, facts.status.budget_usd), over_time.tokens_over_time(line)]
        if over_time
        else [],
        "failures": [distributions.causes_bars(causes)] if causes else [],
        "lengths": [],
    }
    if found.latency and _spread(found.latency):
        drawn["latency"].append(distributions.distribution(found.latency, "How long calls took", "seconds"))
    for histogram, title, colour in (
        (found.prompt_tokens, "Prompt tokens of a call", "blue"),
        (found.completion_tokens, "Completion tokens of a call", "green"),
    ):
        if histogram and _spread(histogram):
            drawn["lengths"].append(distributions.distribution(histogram, title, "tokens", colour))
    drawn["lengths"] += [
        distributions.lengths(recipe, fields) for recipe, fields in facts.survey.fields.items() if fields
    ]
    return drawn


def _spread(found: Histogram) -> bool:
    return found.total >= _FEWEST and found.high > found.low


def _many(fields: Sequence[Field]) -> bool:
    return bool(fields) and len(fields[0].lengths) >= _FEWEST


def _flying(facts: Facts) -> Chart:
    limit = next((use.limit for use in facts.limits.uses if use.what == "concurrent"), None) if facts.limits else None
    return over_time.calls_in_flight(facts.seen.timeline, facts.flying, None if limit is None else round(limit))


def _drawn(coverage: Coverage, facts: Facts) -> list[Pair]:
    """The pairs of axes that have a heat map: fewer for each recipe, the more there are."""
    return telling(coverage.pairs, max(1, _MAPS // max(1, len(facts.coverage)))) if coverage.examples else []


def _example(example: dict[str, Any]) -> dict[str, Any]:
    variables = [(name, _shortened(value)) for name, value in example["variables"].items()]
    blocks = reader.readable(example["output"], example.get("messages"))
    return {"id": example["id"], "recipe": example["recipe"], "variables": variables, "body": reader.as_html(blocks)}


def _shortened(value: Any) -> str:
    text = " ".join(name_of(value).split())
    return text if len(text) <= _VARIABLE else f"{text[:_VARIABLE]}… ({len(text) - _VARIABLE:,} characters more)"


def _text(example: dict[str, Any]) -> str:
    text = " ".join(" ".join(texts(example["output"])).split())
    return text if len(text) <= _TWIN else f"{text[:_TWIN]}…"


def _title(name: str) -> str:
    return name.replace("_", " ")


def _usd(nano: int) -> Decimal:
    return Decimal(nano).scaleb(-9)


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
