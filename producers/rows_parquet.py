"""Rows from Parquet, read by DuckDB a few hundred at a time."""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from producers.row_values import BadRow, Row, RowsError, json_value

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "1GB",
    "threads": 1,
    "autoinstall_known_extensions": False,
}
_BATCH = 256  # rows


def parquet_columns(path: Path, name: str) -> tuple[str, ...]:
    """The names of the columns. Raises RowsError, speaking of `name`, when the file cannot be read."""
    with _query(path, name, "LIMIT 0") as connection:
        return tuple(column[0] for column in connection.description or ())


def parquet_rows(path: Path, name: str) -> Iterator[Row | BadRow]:
    """Yield the rows of a Parquet file in its order; `line` is the row's number, from 1.

    What JSON has no word for (dates, decimals, bytes) becomes a string.
    Raises RowsError, speaking of `name`, when the file cannot be read.
    """
    with _query(path, name) as connection:
        columns = [column[0] for column in connection.description or ()]
        number = 0
        while batch := connection.fetchmany(_BATCH):
            for record in batch:
                number += 1
                values = dict(zip(columns, record, strict=True))
                try:
                    yield Row(number, json_value(values))
                except ValueError as error:
                    yield BadRow(number, str(error), repr(values))


@contextmanager
def _query(path: Path, name: str, limit: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(config=_SETTINGS)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        # The path may hold characters that read_parquet would take for a pattern.
        connection.execute(f"SELECT * FROM read_parquet(?) {limit}", [glob.escape(str(path))])  # noqa: S608
        yield connection
    except duckdb.Error as error:
        cause = str(error).partition("\n")[0]
        raise RowsError(f"{name} is not a readable Parquet file ({cause}).") from error
    finally:
        connection.close()
