"""What was used: a query over the attempts that were collected, through DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from config.errors import UserError

_GROUPS = {
    "model": "coalesce(answered_by, model)",
    "recipe": "recipe",
    "hour": """strftime(time_bucket(INTERVAL '1 hour', "at"), '%Y-%m-%d %H:00')""",
    "day": """strftime("at", '%Y-%m-%d')""",
    "week": """strftime("at", '%G-W%V')""",
    "outcome": "outcome || coalesce(' ' || reason, '')",
    "job": "job",
}
_COLUMNS = {
    "job": "VARCHAR",
    "at": "TIMESTAMP",
    "outcome": "VARCHAR",
    "reason": "VARCHAR",
    "recipe": "VARCHAR",
    "model": "VARCHAR",
    "answered_by": "VARCHAR",
    "prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "cached_tokens": "BIGINT",
    "cost_nano_usd": "BIGINT",
    "latency_seconds": "DOUBLE",
}


def usage_of(jobs: Path, by: str) -> list[dict[str, Any]]:
    """One row per group, in order: requests, tokens, cost in USD, failures and latency percentiles in seconds.

    Args:
        jobs: the folder that holds the jobs' folders, or that of one job.
        by: one of the keys of the table above.

    Raises:
        UserError: `by` names no grouping.
    """
    if by not in _GROUPS:
        raise UserError(f'by: "{by}" is not one of {", ".join(_GROUPS)}.')
    files = _attempts(jobs)
    if not files:
        return []
    query = f"""
        SELECT {_GROUPS[by]} AS "{by}",
               count(*) AS requests,
               count(*) FILTER (outcome = 'accepted') AS accepted,
               count(*) FILTER (outcome = 'rejected') AS rejected,
               count(*) FILTER (outcome IN ('again', 'unknown')) AS failed,
               sum(prompt_tokens)::BIGINT AS prompt_tokens,
               sum(completion_tokens)::BIGINT AS completion_tokens,
               round(coalesce(sum(cost_nano_usd), 0) / 1e9, 6) AS cost_usd,
               round(quantile_cont(latency_seconds, 0.5), 2) AS p50_s,
               round(quantile_cont(latency_seconds, 0.9), 2) AS p90_s,
               round(quantile_cont(latency_seconds, 0.99), 2) AS p99_s
        FROM read_json($files, format = 'newline_delimited', columns = {_COLUMNS})
        GROUP BY 1 ORDER BY 1
    """  # noqa: S608  the group is one of the table above
    with duckdb.connect() as connection:
        found = connection.execute(query, {"files": files})
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def attempts_over_time(job: Path) -> tuple[list[tuple[float, float, float, float]], list[float]]:
    """A job's calls in some sixty steps of time, and the latencies of its calls in seconds.

    Each step is (seconds since the first call ended, accepted per second, others per second, cost so far in USD).
    """
    files = _attempts(job)
    if not files:
        return [], []
    query = f"""
        WITH calls AS (
            SELECT epoch("at") - min(epoch("at")) OVER () AS t, outcome, coalesce(cost_nano_usd, 0) / 1e9 AS cost
            FROM read_json($files, format = 'newline_delimited', columns = {_COLUMNS})
        ), step AS (SELECT greatest(1, ceil(max(t) / 60)) AS s FROM calls)
        SELECT (floor(t / s) + 1) * s AS at_second, count(*) FILTER (outcome = 'accepted') / s,
               count(*) FILTER (outcome != 'accepted') / s, sum(sum(cost)) OVER (ORDER BY (floor(t / s) + 1) * s)
        FROM calls, step GROUP BY at_second, s ORDER BY at_second
    """  # noqa: S608  the columns are the table above
    sample = f"""
        SELECT latency_seconds FROM read_json($files, format = 'newline_delimited', columns = {_COLUMNS})
        WHERE latency_seconds IS NOT NULL USING SAMPLE 20000 ROWS
    """  # noqa: S608
    with duckdb.connect() as connection:
        steps = connection.execute(query, {"files": files}).fetchall()
        latencies = [row[0] for row in connection.execute(sample, {"files": files}).fetchall()]
    return steps, latencies


def _attempts(folder: Path) -> list[str]:
    """The files of attempts of a job's folder, or of a folder of such folders."""
    return sorted(
        str(path) for pattern in ("attempts", "*/attempts") for path in folder.glob(f"{pattern}/part-*.jsonl")
    )
