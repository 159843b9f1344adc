"""Where rows come from: a file or standard input, in one of three formats."""

import hashlib
import json
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from config.private import private_folder
from producers.row_values import BadRow, Row, RowsError
from producers.rows_csv import csv_columns, csv_rows
from producers.rows_jsonl import jsonl_rows
from producers.rows_parquet import parquet_columns, parquet_rows

Format = Literal["jsonl", "csv", "parquet"]

_BY_ENDING: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json-lines": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
_FOREIGN = {
    b"\x1f\x8b": "compressed",
    b"PK\x03\x04": "a ZIP or Excel file",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class Rows:
    """A source of rows that can be gone through any number of times, in its own order."""

    def __init__(self, path: Path, name: str, kind: Format) -> None:
        self.path = path
        self.name = name
        self.kind = kind
        #: The columns of every row; None where each row names its own (JSONL).
        self.columns: tuple[str, ...] | None = None
        if kind != "jsonl":
            self.columns = (csv_columns if kind == "csv" else parquet_columns)(path, name)

    @classmethod
    def open(cls, path: str | Path, spool: Path) -> "Rows":
        """Open a file, or standard input for "-".

        What can be read only once is first copied into the folder `spool`; the copy goes with the Rows object.
        Raises RowsError: no such file, empty, or no rows by its looks.
        """
        name = "standard input" if str(path) == "-" else str(path)
        source = Path(path)
        once = str(path) == "-" or (source.exists() and not source.is_file() and not source.is_dir())
        try:
            if once:
                source = _spooled(source, spool)
            with source.open("rb") as file:
                head = file.read(4_096)
            rows = cls(source, name, _format(Path(path).suffix.lower(), head, name))
        except FileNotFoundError as error:
            raise RowsError(f"{name}: there is no such file.") from error
        except OSError as error:
            raise RowsError(f"{name} cannot be read ({error.strerror}).") from error
        except RowsError:
            if once:
                source.unlink(missing_ok=True)
            raise
        if once:
            weakref.finalize(rows, source.unlink, missing_ok=True)
        return rows

    def __iter__(self) -> Iterator[Row | BadRow]:
        try:
            if self.kind == "jsonl":
                yield from jsonl_rows(self.path)
            else:
                yield from (csv_rows if self.kind == "csv" else parquet_rows)(self.path, self.name)
        except OSError as error:
            raise RowsError(f"{self.name} can no longer be read ({error.strerror}).") from error

    def checked(self, columns: Iterable[str]) -> Iterator[Row | BadRow]:
        """As iterating, but a row that lacks a value in one of `columns` is bad; its raw is its values as JSON."""
        required = tuple(columns)
        for row in self:
            if isinstance(row, Row) and (reason := _lack(row.values, required)):
                yield BadRow(row.line, reason, json.dumps(row.values, ensure_ascii=False))
            else:
                yield row

    @property
    def unit(self) -> str:
        """What Row.line counts: "line", or "row" for Parquet."""
        return "row" if self.kind == "parquet" else "line"

    def sha256(self) -> str:
        """The hex digest of the file's bytes."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _lack(values: dict[str, Any], required: tuple[str, ...]) -> str | None:
    for column in required:
        value = values.get(column)
        if value is None:
            return f"column {column!r} is {'null' if column in values else 'missing'}"
        if value in ("", [], {}) or (isinstance(value, str) and not value.strip()):
            return f"column {column!r} is empty"
    return None


def _spooled(path: Path, spool: Path) -> Path:
    with tempfile.NamedTemporaryFile(dir=private_folder(spool), prefix="rows-", delete=False) as copy:
        if str(path) == "-":
            shutil.copyfileobj(sys.stdin.buffer, copy)
        else:
            with path.open("rb") as source:
                shutil.copyfileobj(source, copy)
    return Path(copy.name)


def _format(ending: str, head: bytes, name: str) -> Format:
    if not head:
        raise RowsError(f"{name} is empty.")
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise RowsError(f"{name} is {what}; give rows as JSONL, CSV or Parquet, text in UTF-8.")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    known = _BY_ENDING.get(ending)
    if known in (None, "jsonl") and text.startswith(b"["):
        raise RowsError(f"{name} is one JSON list; write one object a line, without the brackets around them.")
    if known:
        return known
    if head.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if text.startswith(b"{") else "csv"
