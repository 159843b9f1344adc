"""The attempts that were collected as one table, and the figures that every group of them has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from config.errors import UserError
from ledger.attempt_files import ENDING, PARQUET, SETTINGS, AttemptFiles
from ledger.attempt_rows import COLUMNS
from ledger.part_files import list_parts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Row = dict[str, Any]
T = TypeVar("T")

#: What attempts can be grouped by, in SQL. Times are UTC, weeks are those of ISO 8601.
GROUPS = {
    "model": "model",
    "answered_by": "coalesce(answered_by, model)",
    "recipe": "recipe",
    "job": "job",
    "worker": "worker",
    "outcome": "outcome",
    "reason": "reason",
    "hour": """strftime("at", '%Y-%m-%d %H:00')""",
    "day": """strftime("at", '%Y-%m-%d')""",
    "week": """strftime("at", '%G-W%V')""",
}
_ORDERS = dict.fromkeys(("hour", "day", "week"), "1") | dict.fromkeys(("outcome", "reason"), "attempts DESC, 1")

#: What a row tells of its group: name -> (meaning, SQL). These names are for programs and do not change.
MEASURES: Mapping[str, tuple[str, str]] = {
    "attempts": ("attempts, whatever they came to", "count(*)"),
    "requests": ("attempts that called the model", "count(*) FILTER (called)"),
    "accepted": ("examples accepted", "sum(accepted)"),
    "rejected": ("examples rejected", "sum(rejected)"),
    "errors": ("attempts with a reason why not all was well", "count(reason)"),
    "unknown": ("attempts whose cost the provider never told", "count(*) FILTER (cost_source = 'unknown')"),
    "again": ("attempts that settled nothing, so that another followed", "count(*) FILTER (kind = 'again')"),
    "again_paid": ("of these, paid ones", "count(*) FILTER (kind = 'again' AND cost_nano_usd > 0)"),
    "duplicates": ("attempts at examples that another one had settled", "count(*) FILTER (kind = 'duplicate')"),
    "prompt_tokens": ("tokens", "sum(prompt_tokens)"),
    "cached_tokens": ("of these, read from the provider's cache", "sum(cached_tokens)"),
    "cache_write_tokens": ("of these, written to the provider's cache", "sum(cache_write_tokens)"),
    "completion_tokens": ("tokens", "sum(completion_tokens)"),
    "cost_nano_usd": ("known cost in nano-dollars", "sum(cost_nano_usd)"),
    "rejected_cost_nano_usd": (
        "of it, in nano-dollars, for attempts that settled rejected examples alone",
        "sum(cost_nano_usd) FILTER (kind = 'rejected')",
    ),
    "again_cost_nano_usd": ("of it, in nano-dollars, for `again`", "sum(cost_nano_usd) FILTER (kind = 'again')"),
    "duplicate_cost_nano_usd": (
        "of it, in nano-dollars, for `duplicates`",
        "sum(cost_nano_usd) FILTER (kind = 'duplicate')",
    ),
}
_PERCENTILES = {
    "p50_seconds": "median latency of the calls that ended",
    "p90_seconds": "90th percentile",
    "p99_seconds": "99th percentile",
}
#: The names in a row after its group, in this order, and what they mean.
FIGURES = (
    {
        name: meaning
        for measure, (said, _) in MEASURES.items()
        for name, meaning in {
            measure: said,
            measure.replace("_nano_usd", "_usd"): said.replace("nano-dollars", "USD"),
        }.items()
    }
    | {"cost_per_accepted_usd": "all known cost by accepted examples; none without any"}
    | _PERCENTILES
)

# Where an earlier version collected an attempt, its number of examples was not kept: it is taken for one.
_ATTEMPTS = """
    SELECT * REPLACE (coalesce(accepted, CAST(outcome = 'accepted' AS BIGINT)) AS accepted,
                      coalesce(rejected, CAST(outcome = 'rejected' AS BIGINT)) AS rejected),
           accepted IS NULL AS guessed,
           coalesce(cost_source, '') != 'none' OR latency_seconds IS NOT NULL AS called,
           CASE WHEN accepted > 0 OR (accepted IS NULL AND outcome = 'accepted') THEN 'accepted'
                WHEN rejected > 0 OR (rejected IS NULL AND outcome = 'rejected') THEN 'rejected'
                WHEN outcome IN ('accepted', 'rejected') THEN 'duplicate'
                ELSE 'again' END AS kind
"""
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_SUMS = ", ".join(f"coalesce({sql}, 0)::BIGINT AS {name}" for name, (_, sql) in MEASURES.items())
_MEMORY = "1GB"  # some forty million attempts: percentiles are exact, so latencies are held
_TRIES = 20


class Attempts:
    """The attempts of some files, to be asked in SQL as `attempts`."""

    def __init__(self, connection: DuckDBPyConnection, files: list[Path], since: datetime | None) -> None:
        self._connection = connection
        self._named: dict[str, Any] = {}
        lines = [escape(str(path)) for path in files if path.suffix != ENDING]
        parquet = [escape(str(path)) for path in files if path.suffix == ENDING]
        none = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in COLUMNS.items())
        sources = [f"SELECT {none} WHERE false"]
        if parquet:
            sources.append(f"SELECT {_NAMES} FROM {PARQUET}")  # noqa: S608
            self._named["parquet"] = parquet
        if lines:
            sources.append(
                f"SELECT {_NAMES} FROM read_json($lines, format = 'newline_delimited', columns = {COLUMNS})"  # noqa: S608
            )
            self._named["lines"] = lines
        wanted = ""
        if since is not None:
            wanted = 'WHERE "at" >= $since'
            self._named["since"] = since
        self._with = f"WITH attempts AS ({_ATTEMPTS} FROM ({' UNION ALL '.join(sources)}) {wanted})"

    def rows(self, query: str) -> list[Any]:
        """What a query over `attempts` finds; it may begin with tables of its own (WITH)."""
        query = query.strip()
        joined = f"{self._with}, {query.removeprefix('WITH')}" if query.startswith("WITH") else f"{self._with} {query}"
        return self._connection.execute(joined, self._named).fetchall()

    def by(self, group: str, name: str | None = None) -> list[Row]:
        """One row per group, with the group under `name`, by default its own."""
        order = _ORDERS.get(group, "cost_nano_usd DESC, attempts DESC, 1")
        return [
            {name or group: found[0], **_measured(found[1:])}
            for found in self.rows(f"{self._figures(GROUPS[group])} GROUP BY 1 ORDER BY {order}")
        ]

    def totals(self) -> Row:
        """All attempts as one row."""
        return _measured(self.rows(self._figures("NULL"))[0][1:])

    @staticmethod
    def _figures(group: str) -> str:
        percentiles = "quantile_cont(latency_seconds, [0.5, 0.9, 0.99])"
        return f"SELECT {group}, {_SUMS}, {percentiles} FROM attempts"  # noqa: S608  one of GROUPS


def _measured(found: tuple[Any, ...]) -> Row:
    row: Row = {}
    for name, value in zip(MEASURES, found, strict=False):
        row[name] = value
        if name.endswith("_nano_usd"):
            row[name.replace("_nano_usd", "_usd")] = Decimal(value).scaleb(-9)
    each = row["cost_usd"] / row["accepted"] if row["accepted"] else None
    row["cost_per_accepted_usd"] = each if each is None else round(each, 9)
    for name, value in zip(_PERCENTILES, found[-1] or (None,) * 3, strict=True):
        row[name] = value if value is None else round(value, 3)
    return row


def ask(folder: Path, since: datetime | None, question: Callable[[Attempts], T]) -> T:
    """The answer to a question about the attempts in a job's folder, or in a folder of such folders.

    Attempts that ended before `since` (UTC, without a time zone) are left out. Raises UserError where a part is
    damaged or memory is short.
    """
    import duckdb  # noqa: PLC0415  as slow to start as all other modules together

    config = SETTINGS | {"memory_limit": _MEMORY, "preserve_insertion_order": False}
    for _ in range(_TRIES):
        files: list[Path] = []
        try:
            folders = [folder, *folder.glob("*/")]
            files = [part.path for one in folders for part in list_parts(one / "attempts")[0]]
            with duckdb.connect(config=config) as connection:
                return question(Attempts(connection, files, since))
        except FileNotFoundError:
            continue
        except duckdb.OutOfMemoryException as error:
            raise UserError(
                f"{folder}: these attempts are more than {_MEMORY} of memory sums up; ask with --since or --job."
            ) from error
        except duckdb.Error as error:
            # A collector may have merged some of them meanwhile: then all is asked anew, so that nothing counts twice.
            if all(path.exists() for path in files):
                _find_damage(files)
                raise UserError(f"{folder}: the attempts cannot be summed up ({_first_line(error)}).") from error
    raise UserError(f"{folder}: the files of attempts change while they are read; ask again.")


def _find_damage(files: list[Path]) -> None:
    """Raises PartDamaged for the first file that cannot be read."""
    form = AttemptFiles()
    for path in files:
        form.count(path)
    for path in files:
        for _ in form.rows(path, 0):
            pass


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
