"""Rows that a person brings: any bytes in a file of any ending."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from config.recipe import Recipe
from fuzz.target import JSON, Target, corpus, damaged, file_of
from ledger.todo import Item, task_of
from producers.rows import BadRow, Row, Rows, RowsError, check, read, write_rejects

PIECES = [
    b"\n",
    b"\r\n",
    b"\r",
    b'"',
    b'""',
    b",",
    b";",
    b"\t",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\\u0000",
    b"\\ud800",
    b"\xed\xa0\x80",
    b"NaN",
    b"1e999",
    b'{"text": "a"}\n',
    b"text,n\n",
    b"'",
    b"PAR1",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"\x1c",
    b"\x85",
    b"\xe2\x80\xa8",
    b"9" * 5_000,
    b"[" * 3_000,
    b'{"a":' * 3_000,
]
ENDINGS = st.sampled_from([".jsonl", ".ndjson", ".csv", ".tsv", ".json", ".txt", ".parquet", ""])
RECIPE = Recipe.model_validate(
    {
        "name": "rows",
        "model": "anthropic/claude-haiku-4.5",
        "prompt": "{{ text }}",
        "rows": ["text"],
        "output": {"type": "object", "properties": {"a": {"type": "string"}}},
    }
)


def _lines(data: bytes) -> int:
    """Lines that are not empty, after the byte order mark."""
    return sum(1 for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip())


def _kept_whole(row: Row) -> None:
    """The row reaches a worker as it is, and is text in the prompt, whatever it looks like."""
    json.dumps(row.values, allow_nan=False, ensure_ascii=False).encode("utf-8")
    item = Item(unit=0, recipe=0, first=0, count=1, fraction=0.0, variables=row.values, prompt_bytes=1)
    listed = task_of(item.to_todo(RECIPE))
    assert listed is not None
    assert listed["variables"] == row.values
    if isinstance(row.values.get("text"), str):
        assert RECIPE.render(listed["variables"], 1) == row.values["text"].strip()


def _sentences(error: RowsError) -> None:
    assert str(error)
    assert "Traceback" not in str(error)


def any_file(given: tuple[str, bytes]) -> None:
    """A file is rows, good and bad, none of them lost, or an error that names the file."""
    ending, data = given
    with file_of(data, f"rows{ending}") as path:
        try:
            rows = Rows.open(path, path.with_name("spool"))
            found = list(rows)
            checked = check(rows, ["text"])
        except RowsError as error:
            assert str(path) in str(error)
            _sentences(error)
            return
        good = [row for row in rows.checked(["text"]) if isinstance(row, Row)]
        assert (len(good), len(found) - len(good)) == (checked.good, checked.bad)
        assert [row.values for row in read(rows, ["text"])] == [row.values for row in good]
        if rows.kind == "jsonl":
            assert len(found) == _lines(data)
        for row in good[:50]:
            _kept_whole(row)
        rejects = path.with_name("bad.jsonl")
        assert write_rejects(rows, ["text"], rejects) == checked.bad
        if checked.bad:
            kept = [json.loads(line) for line in rejects.read_text("utf-8").split("\n")[:-1]]
            bad = [row for row in rows.checked(["text"]) if isinstance(row, BadRow)]
            assert [(one["line"], one["reason"], one["raw"]) for one in kept] == [
                (b.line, b.reason, b.raw) for b in bad
            ]
            _sentences(RowsError.of(rows, checked))


@st.composite
def _jsonl(draw: st.DrawFn) -> tuple[str, bytes]:
    lines = draw(st.lists(JSON | st.dictionaries(st.sampled_from(["text", "n", ""]), JSON, max_size=3), max_size=6))
    text = draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join(json.dumps(line) for line in lines)
    return ".jsonl", text.encode()


@st.composite
def _csv(draw: st.DrawFn) -> tuple[str, bytes]:
    cells = st.text(max_size=8) | st.sampled_from(['"', '""', '"a\nb"', "=1+1", "text", "", " ", "\0", "a;b"])
    rows: list[list[Any]] = [["text", "n"], *draw(st.lists(st.lists(cells, max_size=3), max_size=6))]
    mark = draw(st.sampled_from([",", ";", "\t"]))
    return ".csv", "\n".join(mark.join(row) for row in rows).encode("utf-8", "surrogatepass")


FILES = damaged(corpus("rows"), PIECES)
TARGETS = {"rows": Target(st.tuples(ENDINGS, FILES | st.binary(max_size=300)) | _jsonl() | _csv(), any_file)}
