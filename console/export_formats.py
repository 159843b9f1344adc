"""One writer for each export format. Each takes examples in their order and writes them as they come.

`output` and `variables` stay nested in JSONL, are JSON text in Parquet (the recipes of a job differ, and so would
the columns' types), and are taken apart into columns `output.x` and `variables.y` in CSV.
"""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from console.export_order import SETTINGS, Example
from ledger.storable import json_bytes, json_line

#: What a row holds and its type in Parquet, in this order.
FIELDS = {
    "id": "VARCHAR",
    "index": "BIGINT",
    "recipe": "VARCHAR",
    "variables": "VARCHAR",
    "output": "VARCHAR",
    "model": "VARCHAR",
    "answered_by": "VARCHAR",
    "generation_id": "VARCHAR",
    "usage": "STRUCT(prompt_tokens BIGINT, completion_tokens BIGINT, cached_tokens BIGINT)",
    "cost_usd": "DOUBLE",
    "cost_source": "VARCHAR",
    "latency_seconds": "DOUBLE",
    "attempts": "BIGINT",
    "at": "VARCHAR",
}
_SHAPES = 1_000
_QUOTED = re.compile('[",\r\n]')
_ROW_GROUP = 10_000  # rows; DuckDB keeps a group in memory while it writes it


_Place = tuple[int, str, str | None]
"""A column's number, the example's field that goes there, and which of the field's own."""
_Shape = tuple[tuple[str, ...] | None, ...]


def write_jsonl(examples: Iterable[Example], to: Path) -> None:
    """One object a line, `output`, `variables` and `usage` nested. Raises OSError."""
    with to.open("wb") as file:
        for example in examples:
            file.write(json_line({field: example.get(field) for field in FIELDS}))


def write_chat(examples: Iterable[Example], to: Path) -> None:
    """One conversation a line, {"messages": [...]}. Raises OSError."""
    with to.open("wb") as file:
        for example in examples:
            file.write(json_line({"messages": example["messages"]}))


def write_parquet(examples: Iterable[Example], to: Path, scratch: Path) -> None:
    """Compressed columns; `output` and `variables` are JSON text. Raises OSError and duckdb.Error."""
    rows = scratch / "rows.jsonl"
    with rows.open("wb") as file:
        for example in examples:
            row = {field: example.get(field) for field in FIELDS}
            row |= {field: json_bytes(row[field]).decode() for field in ("variables", "output")}
            file.write(json_line(row))
    columns = ", ".join(f"'{field}': '{kind}'" for field, kind in FIELDS.items())
    target = str(to).replace("'", "''")
    query = f"""
        COPY (SELECT * FROM read_json(?, format = 'newline_delimited', columns = {{{columns}}}))
        TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})
    """  # noqa: S608  # COPY takes no parameter for its target
    with duckdb.connect(config=SETTINGS | {"temp_directory": str(scratch)}) as connection:
        connection.execute(query, [glob.escape(str(rows))])


def write_csv(examples: Iterable[Example], to: Path, scratch: Path) -> None:
    """A header and a row an example, null as an empty field; goes through the examples twice. Raises OSError."""
    columns, written, known = Columns(), 0, 0
    late = scratch / "rows.csv"
    with late.open("w", encoding="utf-8", newline="") as rows:
        for number, example in enumerate(examples):
            row = columns.row(example)
            if len(row) > written:
                # Those before lack cells: they are written again below, once all columns are known.
                written, known = len(row), number
                rows.seek(0)
                rows.truncate()
            rows.write(_line(row))
    with to.open("w", encoding="utf-8", newline="") as file:
        file.write(_line(map(_cell, columns.names)))
        file.writelines(_line(columns.row(example)) for example in islice(examples, known))
    with late.open("rb") as source, to.open("ab") as whole:
        shutil.copyfileobj(source, whole)


class Columns:
    """The columns of a table of examples: nested fields are taken apart one level down, deeper values are JSON text."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        # Most examples of a recipe have the same fields: where they go is found once.
        self._places: dict[_Shape, list[_Place]] = {}

    @property
    def names(self) -> list[str]:
        """The header, in the order in which the columns were met."""
        return list(self._numbers)

    def row(self, example: Example) -> list[str]:
        """The example's cells, one for each column that was met by now."""
        places = self._of(example)
        cells = [""] * len(self._numbers)
        for number, field, name in places:
            value = example.get(field)
            cells[number] = _cell(value if name is None or value is None else value[name])
        return cells

    def _of(self, example: Example) -> list[_Place]:
        shape = tuple([tuple(value) if isinstance(value, dict) else None for value in map(example.get, FIELDS)])
        places = self._places.get(shape)
        if places is None:
            if len(self._places) >= _SHAPES:
                self._places.clear()
            places = self._places[shape] = []
            for field, inner in zip(FIELDS, shape, strict=True):
                for name in [None] if inner is None else inner:
                    column = field if name is None else f"{field}.{name}"
                    places.append((self._numbers.setdefault(column, len(self._numbers)), field, name))
        return places


def _line(cells: Iterable[str]) -> str:
    return ",".join(cells) + "\r\n"


def _cell(value: Any) -> str:
    """As RFC 4180 writes it; `csv.writer`, which looks at each letter by itself, would be a third of an export."""
    kind = type(value)
    if value is None:
        return ""
    if kind is int or kind is float:
        return repr(value)  # as in JSON
    text: str = value if kind is str else json_bytes(value).decode()
    return text if _QUOTED.search(text) is None else '"' + text.replace('"', '""') + '"'
