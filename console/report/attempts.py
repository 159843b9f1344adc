"""What a report tells of a job's attempts: over time, by cause, by tokens; asked of the records that are collected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.usage_query import Attempts, Row

_MOST_STEPS = 60
_ATTEMPTS_PER_STEP = 8  # on average at least, so that a curve is more than noise
_BINS = 30
_PERCENTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Step:
    """A stretch of the job's time: what ended in it, percentiles of latency in seconds, money in nano-dollars."""

    accepted: int
    rejected: int
    again: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_nano_usd: int
    latency: tuple[float, float, float] | None


@dataclass(frozen=True)
class Timeline:
    """Steps of equal length, from the start of the first call to the end of the last; times in seconds since 1970."""

    first: float
    last: float
    steps: list[Step]

    @property
    def seconds(self) -> float:
        """From the first start to the last end."""
        return self.last - self.first

    @property
    def width(self) -> float:
        """Of a step, in seconds."""
        return self.seconds / len(self.steps) if self.steps else 0.0

    def ends(self) -> list[float]:
        """The steps' ends, in seconds since the first call began."""
        return [self.width * place for place in range(1, len(self.steps) + 1)]


@dataclass(frozen=True)
class Cause:
    """Attempts that did not go well for one reason. `example` is the first of them."""

    reason: str
    attempts: int
    again: int
    rejected: int
    unknown: int
    cost_nano_usd: int
    example: dict[str, Any]


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of equal width from `low` to `high`, the 99.5th percentile; what lies above is in the last one."""

    low: float
    high: float
    counts: list[int]
    quantiles: tuple[float, ...]
    """Median, 90th and 99th percentile."""
    most: float
    mean: float
    total: int


@dataclass(frozen=True)
class Seen:
    """All that a report tells of the attempts."""

    totals: Row
    timeline: Timeline
    models: list[Row]
    recipes: list[Row]
    causes: list[Cause]
    latency: Histogram | None
    prompt_tokens: Histogram | None
    completion_tokens: Histogram | None
    guessed: int


def seen(attempts: Attempts) -> Seen:
    """Every figure, from one look at the attempts."""
    ((guessed,),) = attempts.rows("SELECT count(*) FILTER (guessed) FROM attempts")
    return Seen(
        totals=attempts.totals(),
        timeline=timeline(attempts),
        models=attempts.by("answered_by", "model"),
        recipes=attempts.by("recipe"),
        causes=causes(attempts),
        latency=histogram(attempts, "latency_seconds", "latency_seconds IS NOT NULL"),
        prompt_tokens=histogram(attempts, "prompt_tokens", "kind = 'accepted'"),
        completion_tokens=histogram(attempts, "completion_tokens", "kind = 'accepted'"),
        guessed=guessed,
    )


def timeline(attempts: Attempts) -> Timeline:
    """The job's time in at most 60 steps, fewer where there are few attempts or seconds."""
    ((first, last, count),) = attempts.rows("""
        SELECT min(epoch("at") - coalesce(latency_seconds, 0)), max(epoch("at")), count("at") FROM attempts
    """)
    if not count or last <= first:
        return Timeline(first or 0.0, last or 0.0, [])
    steps = max(1, min(_MOST_STEPS, int(last - first), count // _ATTEMPTS_PER_STEP))
    found = attempts.rows(f"""
        SELECT least({steps - 1}, floor((epoch("at") - {first!r}) / {last - first!r} * {steps}))::BIGINT AS step,
               sum(accepted)::BIGINT, sum(rejected)::BIGINT, count(*) FILTER (kind = 'again'),
               count(*) FILTER (called), sum(prompt_tokens)::BIGINT, sum(completion_tokens)::BIGINT,
               coalesce(sum(cost_nano_usd), 0)::BIGINT, quantile_cont(latency_seconds, {list(_PERCENTILES)})
        FROM attempts WHERE "at" IS NOT NULL GROUP BY 1
    """)  # noqa: S608  numbers of our own
    by_step = {row[0]: Step(*(*row[1:8], tuple(row[8]) if row[8] else None)) for row in found}
    none = Step(0, 0, 0, 0, 0, 0, 0, None)
    return Timeline(first, last, [by_step.get(step, none) for step in range(steps)])


def in_flight(attempts: Attempts, line: Timeline) -> list[float]:
    """Calls in flight on average in each step: how long calls lasted within it, by its length."""
    if not line.steps:
        return []
    found = attempts.rows(f"""
        WITH call AS (
            SELECT epoch("at") - {line.first!r} AS until, until - latency_seconds AS since FROM attempts
            WHERE "at" IS NOT NULL AND latency_seconds > 0
        ), part AS (
            SELECT since, until, unnest(range(greatest(0, floor(since / {line.width!r}))::BIGINT,
                   least({len(line.steps) - 1}, floor(until / {line.width!r}))::BIGINT + 1)) AS step FROM call
        )
        SELECT step, sum(least(until, (step + 1) * {line.width!r}) - greatest(since, step * {line.width!r}))
        FROM part GROUP BY step
    """)  # noqa: S608  numbers of our own
    by_step = dict(found)
    return [max(0.0, by_step.get(step, 0.0)) / line.width for step in range(len(line.steps))]


def causes(attempts: Attempts) -> list[Cause]:
    """Why attempts did not go well, the commonest first."""
    found = attempts.rows("""
        SELECT reason, count(*), count(*) FILTER (kind = 'again'), sum(rejected)::BIGINT,
               count(*) FILTER (cost_source = 'unknown'), coalesce(sum(cost_nano_usd), 0)::BIGINT,
               arg_min(struct_pack(unit, attempt, "at", worker, answered_by, latency_seconds, cost_nano_usd), "at")
        FROM attempts WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1
    """)
    return [Cause(*(*row[:6], _example(row[6]))) for row in found]


def _example(found: dict[str, Any] | None) -> dict[str, Any]:
    known = {name: value for name, value in (found or {}).items() if value is not None}
    if isinstance(known.get("at"), datetime):
        known["at"] = f"{known['at']:%Y-%m-%d %H:%M:%S} UTC"
    return known


def histogram(attempts: Attempts, value: str, wanted: str) -> Histogram | None:
    """How a column is distributed among the attempts that are `wanted`; None without any."""
    figures = f"min({value}), quantile_cont({value}, [0.5, 0.9, 0.99, 0.995]), max({value}), avg({value}), count(*)"
    ((low, quantiles, most, mean, total),) = attempts.rows(
        f"SELECT {figures} FROM attempts WHERE {value} IS NOT NULL AND {wanted}"  # noqa: S608  names of columns
    )
    if not total:
        return None
    low, high = float(low), max(float(quantiles[3]), float(low))
    if high == low:
        return Histogram(low, high, [total], tuple(quantiles[:3]), float(most), mean, total)
    found = attempts.rows(f"""
        SELECT least({_BINS - 1}, floor(({value} - {low!r}) / {high - low!r} * {_BINS}))::BIGINT, count(*)
        FROM attempts WHERE {value} IS NOT NULL AND {wanted} GROUP BY 1
    """)  # noqa: S608  numbers of our own and names of columns
    by_bin = dict(found)
    counts = [by_bin.get(place, 0) for place in range(_BINS)]
    return Histogram(low, high, counts, tuple(quantiles[:3]), float(most), mean, total)
