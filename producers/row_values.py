"""One row, good or bad, and what its values may be. The readers of each format build on this."""

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import UserError

if TYPE_CHECKING:
    from producers.rows_source import Rows

# A row is a prompt's worth of text. Anything longer is another kind of file, or a quote that never closes,
# and would be read into memory whole.
LONGEST_ROW = 16 * 2**20  # bytes
TOO_LONG = "longer than 16 MiB"
NUL = "contains a NUL character"
NOT_UTF8 = "not UTF-8"

_SHOWN = 20  # bad rows named in an error
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Row:
    """One usable row. `line` is the physical line at which it starts (for Parquet: the row's number, from 1)."""

    line: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that cannot be used, why, and its text as it stood (bytes that are not UTF-8 as \\xNN)."""

    line: int
    reason: str
    raw: str


@dataclass(frozen=True)
class Checked:
    """What a look through all rows found. `sample` holds the first bad rows, `columns` what every good row has."""

    good: int
    bad: int
    sample: list[BadRow]
    columns: set[str]


class RowsError(UserError):
    """The rows cannot be used; the message says which, where, and what to do."""

    @classmethod
    def of(cls, rows: "Rows", found: Checked) -> "RowsError":
        """The error that names the bad rows, one a line, and says what to do about them."""
        lines = [f"{rows.name}, {rows.unit} {bad.line:,}: {bad.reason}" for bad in found.sample[:_SHOWN]]
        if found.bad > len(lines):
            lines.append(f"and {found.bad - len(lines):,} more")
        return cls("\n".join([*lines, "Mend these rows, or leave them out with --skip-bad-rows."]))


def physical_lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (number from 1, bytes, whether these are all of the line's bytes) for each line of a file.

    The byte order mark is taken off. Of a line longer than LONGEST_ROW only the beginning is given.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_ROW):
            number += 1
            whole = line.endswith(b"\n") or len(line) < LONGEST_ROW
            rest = b"" if whole else line
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(LONGEST_ROW)
            yield number, line.removeprefix(_BOM) if number == 1 else line, whole


def text_of(raw: bytes) -> str:
    """The bytes as text, without the line's end, for showing to a person."""
    return raw.decode("utf-8", "backslashreplace").rstrip("\r\n")


def json_value(value: Any) -> Any:
    """The value as JSON can hold it; what JSON has no word for becomes a string.

    Dates and times become ISO 8601, bytes become text where they are UTF-8 and base64 where not.
    Raises ValueError, whose text is the reason why the row is bad.
    """
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"contains {value}, which is no JSON number")
        return value
    if isinstance(value, dict):
        return {_text(str(key)): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    return _as_text(value)


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError(NUL)
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{NOT_UTF8} (half of a surrogate pair)")
    return value


def _as_text(value: Any) -> str:
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return _text(value.decode("utf-8"))
        except ValueError:
            return base64.b64encode(value).decode("ascii")
    return str(value)
