"""One writer for each export format. Each takes examples in their order and writes them as they come.

`output` and `variables` stay nested in JSONL, are JSON text in Parquet (the recipes of a job differ, and so would
the columns' types), and are taken apart into columns `output.x` and `variables.y` in CSV.
"""

import csv
import glob
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from console.export_order import SETTINGS, Example
from ledger.storable import json_line

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
_ROW_GROUP = 10_000  # rows; DuckDB keeps a group in memory while it writes it


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
            row |= {field: json_text(row[field]) for field in ("variables", "output")}
            file.write(json_line(row))
    columns = ", ".join(f"'{field}': '{kind}'" for field, kind in FIELDS.items())
    target = str(to).replace("'", "''")
    query = f"""
        COPY (SELECT * FROM read_json(?, format = 'newline_delimited', columns = {{{columns}}}))
        TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})
    """  # noqa: S608  # COPY takes no parameter for its target
    with duckdb.connect(config=SETTINGS | {"temp_directory": str(scratch)}) as connection:
        connection.execute(query, [glob.escape(str(rows))])


def write_csv(examples: Iterable[Example], to: Path, columns: Iterable[str]) -> None:
    """A header and a row an example, null as an empty field. Raises OSError."""
    with to.open("w", encoding="utf-8", newline="") as file:
        # The standard's line ends, because only with them the module quotes every carriage return in a text.
        table = csv.DictWriter(file, list(columns), restval="", lineterminator="\r\n")
        table.writeheader()
        for example in examples:
            table.writerow({name: _cell(value) for name, value in flattened(example).items()})


def flattened(example: Example) -> dict[str, Any]:
    """The example's values by CSV column: those of nested fields one level down, deeper ones as they are."""
    flat: dict[str, Any] = {}
    for field in FIELDS:
        value = example.get(field)
        if isinstance(value, dict):
            flat |= {f"{field}.{name}": item for name, item in value.items()}
        else:
            flat[field] = value
    return flat


def json_text(value: Any) -> str:
    """The value as JSON, readable: only what JSON itself demands is escaped."""
    return json.dumps(value, ensure_ascii=False)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_text(value)
