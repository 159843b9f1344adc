"""Rows that a person brings: from JSONL, CSV or Parquet, from a file or standard input.

They are read twice, `check` before anything is enqueued and `read` while enqueueing, so that a bad row in the
last line costs nothing. A million rows need no more memory than ten.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from producers.row_values import BadRow, Checked, Row, RowsError
from producers.rows_source import Rows

__all__ = ["BadRow", "Checked", "Row", "Rows", "RowsError", "check", "read", "write_rejects"]

_SAMPLE = 1_000  # bad rows kept by `check`
_RAW = 2_000  # characters kept of each of them


def check(rows: Rows, columns: Iterable[str]) -> Checked:
    """Go through all rows once; a good row has a value in each of `columns`.

    Raises RowsError when there are no rows at all, or when the header lacks one of the columns.
    """
    required = tuple(columns)
    for column in required:
        if rows.columns is not None and column not in rows.columns:
            raise RowsError(f"{rows.name} has no column {column!r}; its columns are: {', '.join(rows.columns)}.")
    good = bad = 0
    sample: list[BadRow] = []
    common: set[str] | None = None
    for row in rows.checked(required):
        if isinstance(row, Row):
            good += 1
            common = set(row.values) if common is None else common
            if len(common) != len(row.values) or not common <= row.values.keys():
                common &= row.values.keys()
            continue
        bad += 1
        if len(sample) < _SAMPLE:
            sample.append(BadRow(row.line, row.reason, row.raw[:_RAW]))
    if not good and not bad:
        raise RowsError(f"{rows.name} has no rows.")
    return Checked(good, bad, sample, common or set(rows.columns or ()))


def read(rows: Rows, columns: Iterable[str]) -> Iterator[Row]:
    """Yield the good rows alone, those that `check` counts as good."""
    return (row for row in rows.checked(columns) if isinstance(row, Row))


def write_rejects(rows: Rows, columns: Iterable[str], to: Path) -> int:
    """Write the bad rows as JSONL {file, line, reason, raw} and return their number; none, no file.

    `raw` is the row as it stood; of a row that only lacks a value, its values as JSON. Raises RowsError.
    """
    bad = (row for row in rows.checked(columns) if isinstance(row, BadRow))
    first = list(islice(bad, 1))
    if not first:
        return 0
    count = 0
    unfinished = to.with_name(f".{to.name}.unfinished")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w", encoding="utf-8") as file:
            for row in (*first, *bad):
                record = {"file": rows.name, "line": row.line, "reason": row.reason, "raw": row.raw}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                count += 1
        unfinished.replace(to)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise RowsError(f"{to}, the file for bad rows, cannot be written ({error.strerror}).") from error
    return count
