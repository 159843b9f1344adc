"""Part files of attempts, as Parquet, so that a year of them is one query; DuckDB writes and reads them.

An earlier version kept attempts as JSON lines. Such parts are read too, and merging turns them into Parquet.
DuckDB is imported when the first attempts are written or read: starting a command or a collector needs none.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from glob import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.private import private_file
from ledger.attempt_rows import TYPES, NoAttempt, Row, record_of, row_of
from ledger.part_files import PartDamaged
from ledger.part_lines import Lines

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ENDING = ".parquet"
#: Parquet files as a source in a query; its parameter $parquet is a list of paths without wildcards (`escape`).
#: A column that a later version may add is kept, and a folder named "a=b" is no column.
PARQUET = "read_parquet($parquet, union_by_name = true, hive_partitioning = false)"
SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "256MB",
    "autoinstall_known_extensions": False,
    "enable_external_file_cache": False,
    "temp_directory": "",
}

_NAMES = ", ".join(f'"{name}"' for name in TYPES)
# A list for each column: a statement for each row takes twenty times as long.
_GIVEN = ", ".join(f'unnest(${n}::{kind}[]) AS "{name}"' for n, (name, kind) in enumerate(TYPES.items(), 1))
_FETCHED = 1_000  # rows
_CHUNK = 50_000  # rows
_lines = Lines()


class AttemptFiles:
    """The format of attempts: a row is what `row_of` makes, and a record when it is read."""

    ending = ENDING
    # A row takes some 30 bytes, a tenth of a line, and costs more to write again.
    small = 2**20
    largest = 64 * 2**20

    def write(self, path: Path, rows: Sequence[Row]) -> None:
        """Write rows to a new file. Raises OSError."""
        _copy(f"SELECT {_GIVEN}", [list(column) for column in zip(*rows, strict=True)], path)

    def merge(self, paths: Sequence[Path], path: Path) -> None:
        """Write the rows of all these parts, in their order, to a new file. Raises OSError and PartDamaged."""
        with ExitStack() as stack:
            sources = [source for one in paths for source in stack.enter_context(self._as_parquet(one, path))]
            try:
                arrived = _copy(f"FROM {PARQUET}", {"parquet": [escape(str(one)) for one in sources]}, path)
            except OSError:
                for source in sources:
                    for _ in _rows(source, 0):
                        pass
                raise
            # The parts go when they are merged, so this must hold whatever DuckDB makes of a part.
            if arrived != sum(_count(source) for source in sources):
                raise OSError(errno.EIO, "not every row arrived", str(path))

    def count(self, path: Path) -> int:
        """The number of rows. Raises OSError and PartDamaged."""
        return _count(path) if path.suffix == ENDING else _lines.count(path)

    def rows(self, path: Path, skip: int) -> Iterator[dict[str, Any]]:
        """The records but for the first `skip`, few in memory at a time. Raises OSError and PartDamaged."""
        return map(record_of, _rows(path, skip) if path.suffix == ENDING else _rows_of_lines(path, skip))

    @contextmanager
    def _as_parquet(self, path: Path, target: Path) -> Iterator[list[Path]]:
        """The part itself, or Parquet files made of an old one, which are gone afterwards."""
        if path.suffix == ENDING:
            yield [path]
            return
        chunks: list[Path] = []
        rows = _rows_of_lines(path, 0)
        try:
            while chunk := list(islice(rows, _CHUNK)):
                # Named so that the next writer removes them after a crash.
                chunks.append(target.with_name(f".{path.stem}.{len(chunks)}.unfinished"))
                self.write(private_file(chunks[-1]), chunk)
            yield chunks
        finally:
            for made in chunks:
                with suppress(OSError):
                    made.unlink()


def _rows_of_lines(path: Path, skip: int) -> Iterator[Row]:
    for number, record in enumerate(_lines.rows(path, skip), skip + 1):
        try:
            yield row_of(record)
        except NoAttempt as error:
            raise PartDamaged(path, f"line {number}: {error}") from error


def _rows(path: Path, skip: int) -> Iterator[Row]:
    with _reading(path) as cursor:
        names = {"parquet": [escape(str(path))], "skip": skip}
        cursor.execute(f"SELECT {_NAMES} FROM {PARQUET} OFFSET $skip", names)  # noqa: S608  names of columns
        while batch := cursor.fetchmany(_FETCHED):
            yield from batch


def _count(path: Path) -> int:
    with _reading(path) as cursor:
        query = "SELECT sum(num_rows) FROM parquet_file_metadata($1)"
        return int(cursor.execute(query, [[escape(str(path))]]).fetchall()[0][0])


def _copy(query: str, given: Any, path: Path) -> int:
    """Write what a query finds to a new Parquet file, and return the number of rows. Raises OSError."""
    import duckdb  # noqa: PLC0415

    target = str(path).replace("'", "''")
    try:
        with _cursor() as cursor:
            cursor.execute(
                f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)", given
            )
            return int(cursor.fetchall()[0][0])
    except duckdb.Error as error:
        # DuckDB puts the system's reason last, or as its number in an object.
        text = str(error).partition("\n")[0]
        number = re.search(r'"errno":"(\d+)"', text)
        reason = os.strerror(int(number[1])) if number else text.rpartition(": ")[2]
        raise OSError(int(number[1]) if number else errno.EIO, reason, str(path)) from error


@contextmanager
def _reading(path: Path) -> Iterator[DuckDBPyConnection]:
    import duckdb  # noqa: PLC0415

    try:
        with _cursor() as cursor:
            yield cursor
    except duckdb.OutOfMemoryException as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(path)) from error
    except duckdb.Error as error:
        path.open("rb").close()  # where it cannot be opened, the system's reason is the better one
        raise PartDamaged(path, "it is not a whole Parquet file of attempts") from error


@contextmanager
def _cursor() -> Iterator[DuckDBPyConnection]:
    import duckdb  # noqa: PLC0415

    try:
        with _database().cursor() as cursor:
            yield cursor
    except (duckdb.FatalException, duckdb.InternalException):
        _database.cache_clear()  # it takes no more queries after such an error
        raise


@cache
def _database() -> DuckDBPyConnection:
    import duckdb  # noqa: PLC0415

    return duckdb.connect(config=SETTINGS | {"threads": 1})
