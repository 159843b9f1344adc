"""Rows from CSV with a header: quoted fields may hold newlines, every value is a string."""

import csv
from collections.abc import Iterator
from pathlib import Path

from producers.row_values import (
    LONGEST_ROW,
    NOT_UTF8,
    NUL,
    TOO_LONG,
    BadRow,
    Row,
    RowsError,
    physical_lines,
    text_of,
)


def csv_columns(path: Path, name: str) -> tuple[str, ...]:
    """The names in the header. Raises RowsError, speaking of `name`, when they cannot serve as names."""
    return _Table(path, name).header


def csv_rows(path: Path, name: str) -> Iterator[Row | BadRow]:
    """Yield the rows of a CSV file in its order, in memory that does not grow with the file.

    Fields stand between commas; between semicolons or tabs where the header has no comma.
    Raises RowsError, speaking of `name`, for an unusable header.
    """
    table = _Table(path, name)
    while True:
        table.start_row()
        try:
            fields = next(table.reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(table.line, f"not CSV ({error})", text_of(bytes(table.raw)))
            continue
        if reason := table.fault(fields):
            yield BadRow(table.line, reason, text_of(bytes(table.raw)))
        elif fields:
            yield Row(table.line, dict(zip(table.header, fields, strict=True)))


class _Table:
    """A csv reader that knows at which line each row starts and what its bytes were."""

    def __init__(self, path: Path, name: str) -> None:
        # The module's own limit, 128 KiB a field, is below the length of a chapter; ours bounds the whole row.
        csv.field_size_limit(LONGEST_ROW)
        self._source = physical_lines(path)
        self._number = 0
        first = next((line for _, line, _ in physical_lines(path) if line.strip()), b"")
        # Spreadsheets in half of Europe write semicolons, because there the comma marks decimals.
        delimiter = next((mark for mark in (",", ";", "\t") if mark.encode() in first), ",")
        self.reader = csv.reader(self, delimiter=delimiter, strict=True)
        self.start_row()
        self.header = self._read_header(name)

    def start_row(self) -> None:
        self.line = self._number + 1
        self.raw = bytearray()
        self._is_utf8 = True

    def fault(self, fields: list[str]) -> str | None:
        """Why the row just read cannot be used, if it cannot."""
        if not self._is_utf8:
            return NOT_UTF8
        if b"\0" in self.raw:
            return NUL
        if fields and len(fields) != len(self.header):
            return f"has {len(fields)} fields where the header has {len(self.header)}"
        return None

    def __iter__(self) -> "_Table":
        return self

    def __next__(self) -> str:
        self._number, line, whole = next(self._source)
        self.raw += line
        if not whole or len(self.raw) > LONGEST_ROW:
            raise csv.Error(f"{TOO_LONG}: is a quote left open?")
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            self._is_utf8 = False
            return line.decode("utf-8", "replace")

    def _read_header(self, name: str) -> tuple[str, ...]:
        try:
            fields = next((fields for fields in self.reader if fields), [])
        except csv.Error as error:
            raise RowsError(f"{name}: the header is not CSV ({error}).") from error
        header = tuple(field.strip() for field in fields)
        if not self._is_utf8 or b"\0" in self.raw:
            raise RowsError(f"{name}: the header is not UTF-8 text; save the file as CSV in UTF-8.")
        if "" in header:
            raise RowsError(f"{name}: column {header.index('') + 1} has no name in the header; name it.")
        if twice := [column for column in header if header.count(column) > 1]:
            raise RowsError(f"{name}: the header has {twice[0]!r} more than once; rename one of them.")
        return header
