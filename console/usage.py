"""What was used: requests, tokens, cost, errors and latency of the attempts that were collected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from config.errors import UserError
from console.usage_query import GROUPS, Attempts, Row, ask

_STEPS = {"hour": timedelta(days=2), "day": timedelta(days=62), "week": timedelta.max}
_LATENCIES = 20_000


@dataclass(frozen=True)
class Summary:
    """All attempts in figures: `model`, `recipe`, `time` and `reason` are rows of `usage_of`, costly or many first.

    The rows of `time` stand under "time", in steps of `step`; those of `reason` are of attempts that have one.
    `guessed` is how many attempts of an earlier version were taken for one example each.
    """

    first: datetime | None
    last: datetime | None
    jobs: int
    guessed: int
    step: str
    totals: Row
    groups: dict[str, list[Row]]


def usage_of(folder: Path, by: str, since: datetime | None = None) -> list[Row]:
    """One row per group: the group under the name `by`, then MEASURES and DERIVED.

    Groups of time are in their order, outcomes and reasons by their attempts, all others by their cost.

    Args:
        folder: the folder that holds the jobs' folders, or that of one job.
        by: one of GROUPS.
        since: attempts that ended earlier are left out; UTC, without a time zone.

    Raises:
        UserError: `by` names no grouping, a part is damaged, or there is not enough memory.
    """
    if by not in GROUPS:
        raise UserError(f'by: "{by}" is not one of {", ".join(GROUPS)}.')
    return ask(folder, since, lambda attempts: attempts.by(by))


def summary_of(folder: Path, since: datetime | None = None) -> Summary:
    """All attempts in figures; arguments and errors as of `usage_of`."""

    def summary(attempts: Attempts) -> Summary:
        ((first, last, jobs, guessed),) = attempts.rows(
            'SELECT min("at"), max("at"), count(DISTINCT job), count(*) FILTER (guessed) FROM attempts'
        )
        span = last - first if first else timedelta()
        step = next(name for name, most in _STEPS.items() if span <= most)
        groups = {
            "model": attempts.by("model"),
            "recipe": attempts.by("recipe"),
            "time": attempts.by(step, "time"),
            "reason": [row for row in attempts.by("reason") if row["reason"] is not None],
        }
        return Summary(first, last, jobs, guessed, step, attempts.totals(), groups)

    return ask(folder, since, summary)


def attempts_over_time(job: Path) -> tuple[list[tuple[float, float, float, float]], list[float]]:
    """A job's calls in some sixty steps of time, and the latencies of its calls in seconds.

    Each step is (seconds since the first call ended, accepted per second, others per second, cost so far in USD).
    Of more than 20,000 latencies it is a sample. Raises UserError as `usage_of` does.
    """

    def steps(attempts: Attempts) -> tuple[list[tuple[float, float, float, float]], list[float]]:
        found = attempts.rows("""
            WITH span AS (
                SELECT min("at") AS start, greatest(1, ceil(epoch(max("at") - min("at")) / 60)) AS s FROM attempts
            ), step AS (
                SELECT (floor(epoch("at" - start) / s) + 1) * s AS t, s, count(*) FILTER (outcome = 'accepted') AS good,
                       count(*) AS calls, coalesce(sum(cost_nano_usd), 0) / 1e9 AS cost
                FROM attempts, span WHERE "at" IS NOT NULL GROUP BY ALL
            )
            SELECT t, good / s, (calls - good) / s, sum(cost) OVER (ORDER BY t) FROM step ORDER BY t
        """)
        sample = (
            f"SELECT latency_seconds FROM attempts WHERE latency_seconds IS NOT NULL USING SAMPLE {_LATENCIES} ROWS"  # noqa: S608
        )
        return [(row[0], row[1], row[2], row[3]) for row in found], [row[0] for row in attempts.rows(sample)]

    return ask(job, None, steps)
