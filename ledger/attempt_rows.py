"""An attempt as a row: which columns there are, and the way from an attempt's record to its row and back.

A record is the JSON object that the ledger keeps of an attempt. What has a column must be of its type, because a
value set aside would be missing in sums of tokens and money without a word. What has none, such as a field of newer
workers, stands as JSON in the column `more`: paid results must not wait until the collector is of their version.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ledger.storable import json_line, read_json, whole_text

#: The columns of an attempt and their types in DuckDB and Parquet, in this order; then comes `more`.
COLUMNS = {
    "job": "VARCHAR",
    "unit": "BIGINT",
    "attempt": "INTEGER",
    "at": "TIMESTAMP",  # the end of the attempt, UTC
    "outcome": "VARCHAR",
    "reason": "VARCHAR",
    "recipe": "VARCHAR",
    "model": "VARCHAR",
    "answered_by": "VARCHAR",
    "generation_id": "VARCHAR",
    "prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "cached_tokens": "BIGINT",
    "cache_write_tokens": "BIGINT",
    "cost_nano_usd": "BIGINT",  # null where it is not known
    "cost_source": "VARCHAR",
    "latency_seconds": "DOUBLE",
    "worker": "VARCHAR",
    "accepted": "BIGINT",  # examples stored with this attempt; null where an earlier version collected it
    "rejected": "BIGINT",
}
MORE = "more"
TYPES = COLUMNS | {MORE: "JSON"}

Row = Sequence[Any]

#: The columns that count tokens.
COUNTED = ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens")


class NoAttempt(ValueError):
    """A record that is no attempt; the message names the field and its value."""


def row_of(record: Any) -> Row:
    """The record's row. A field that is absent is null, or 0 where it counts tokens. Raises NoAttempt."""
    if not isinstance(record, dict):
        raise NoAttempt(f"an attempt is {_shown(record)}, which is not an object")
    row: list[Any] = []
    for name, kind in COLUMNS.items():
        value = record.get(name)
        if value is not None:
            try:
                value = _TO_COLUMN[kind](value)
            except (ValueError, TypeError, OverflowError) as error:
                raise NoAttempt(f"{name} is {_shown(value)}, which is not of type {kind}") from error
        row.append(value if value is not None else 0 if name in COUNTED else None)
    more = {name: value for name, value in record.items() if name not in COLUMNS}
    row.append(json_line(more).decode().rstrip("\n") if more else None)
    return row


def record_of(row: Row) -> dict[str, Any]:
    """The record of a row: every column, `at` as ISO 8601 with milliseconds and +00:00, then what is in `more`."""
    record = dict(zip(COLUMNS, row, strict=False))
    at = record["at"]
    if at is not None:
        record["at"] = at.replace(tzinfo=UTC).isoformat(
            timespec="microseconds" if at.microsecond % 1000 else "milliseconds"
        )
    more = row[len(COLUMNS)]
    return record if more is None else record | read_json(more)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value if value.isascii() else whole_text(value)


def _whole(bits: int) -> Callable[[Any], int]:
    most = 2 ** (bits - 1)

    def whole(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise TypeError
        if not -most <= value < most:
            raise OverflowError
        return int(value)

    return whole


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value) if math.isfinite(value) else None


def _moment(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    return at if at.tzinfo is None else at.astimezone(UTC).replace(tzinfo=None)


_TO_COLUMN: Mapping[str, Callable[[Any], Any]] = {
    "VARCHAR": _text,
    "BIGINT": _whole(64),
    "INTEGER": _whole(32),
    "DOUBLE": _number,
    "TIMESTAMP": _moment,
}


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:60] + "…"
