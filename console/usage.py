"""What was used: a query over the attempts that were collected, through DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from config.errors import UserError

_GROUPS = {
    "model": "coalesce(answered_by, model)",
    "recipe": "recipe",
    "hour": "strftime(time_bucket(INTERVAL '1 hour', at), '%Y-%m-%d %H:00')",
    "day": "strftime(at, '%Y-%m-%d')",
    "week": "strftime(at, '%G-W%V')",
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
        jobs: the folder that holds the jobs' folders.
        by: one of the keys of the table above.

    Raises:
        UserError: `by` names no grouping.
    """
    if by not in _GROUPS:
        raise UserError(f'by: "{by}" is not one of {", ".join(_GROUPS)}.')
    if not any(jobs.glob("*/attempts/*.jsonl")):
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
        found = connection.execute(query, {"files": str(jobs / "*" / "attempts" / "*.jsonl")})
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
