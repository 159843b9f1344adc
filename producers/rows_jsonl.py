"""Rows from JSONL: one JSON object a line. Empty lines are passed over."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from producers.row_values import (
    NOT_UTF8,
    NUL,
    TOO_LONG,
    BadRow,
    Row,
    json_value,
    physical_lines,
    text_of,
)


def jsonl_rows(path: Path) -> Iterator[Row | BadRow]:
    """Yield the rows of a JSONL file in its order, in memory that does not grow with the file."""
    for number, line, whole in physical_lines(path):
        if not whole:
            yield BadRow(number, TOO_LONG, text_of(line))
        elif line.strip():
            try:
                yield Row(number, _object(line))
            except (ValueError, RecursionError) as error:
                yield BadRow(number, _reason(error), text_of(line))


def _object(line: bytes) -> dict[str, Any]:
    if b"\0" in line:
        raise ValueError(NUL)
    value = _decode(line.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  # every reason travels the same way
    if b"\\u" in line:  # only an escape can hold what the bytes themselves cannot
        json_value(value)
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"contains {name}, which is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"contains {digits}, which is too large a number")
    return value


_decode = json.JSONDecoder(parse_constant=_constant, parse_float=_finite).decode


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return NOT_UTF8
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg} at character {error.pos + 1})"
    return str(error)
