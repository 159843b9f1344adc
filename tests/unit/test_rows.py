"""Rows from JSONL, CSV and Parquet: what is read, what is refused, and how it is said."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tempfile
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.row_values import LONGEST_ROW
from producers.rows import BadRow, Checked, Row, Rows, RowsError, check, read, write_rejects

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def opened(folder: Path, name: str, content: bytes) -> Rows:
    path = folder / name
    path.write_bytes(content)
    return Rows.open(path, folder / "spool")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", b'{"a": 1}\n\n{"a": null, "b": [{"c": ""}]}', [(1, {"a": 1}), (3, {"a": None, "b": [{"c": ""}]})]),
        ("bom.jsonl", b'\xef\xbb\xbf{"a": "\xc3\xa8"}\r\n', [(1, {"a": "è"})]),
        ("a.ndjson", b'{"a": 123456789012345678901234567890}', [(1, {"a": 123456789012345678901234567890})]),
        ("a.json-lines", b'{"a": "\\ud83d\\ude00 \\\\u0000 \xe2\x80\xa8"}\n', [(1, {"a": "😀 \\u0000 \u2028"})]),
        ("sniffed", b'  {"a": 1}\n', [(1, {"a": 1})]),
        ("a.csv", b"a,b\n1,x\n", [(2, {"a": "1", "b": "x"})]),
        ("bom.csv", b'\xef\xbb\xbf"a",b\r\n1,x\r\n', [(2, {"a": "1", "b": "x"})]),
        ("lines.csv", b'a\n"1\n2 ""x"""\n\n3', [(2, {"a": '1\n2 "x"'}), (5, {"a": "3"})]),
        ("late.csv", b"\n\na\n1\n", [(4, {"a": "1"})]),
        ("empty.csv", b"a, b\n,\n", [(2, {"a": "", "b": ""})]),
        ("excel.csv", b"materia;voto\nstoria;7,5\n", [(2, {"materia": "storia", "voto": "7,5"})]),
        ("a.tsv", b"a\tb\nx y\tz\n", [(2, {"a": "x y", "b": "z"})]),
        ("a.txt", b"a,b\nnull,{}\n", [(2, {"a": "null", "b": "{}"})]),
    ],
)  # fmt: skip
def test_good_rows(tmp_path: Path, name: str, content: bytes, expected: list[tuple[int, dict[str, Any]]]) -> None:
    """Every form that real files come in is read as it was meant, with the line at which each row starts."""
    assert list(opened(tmp_path, name, content)) == [Row(line, values) for line, values in expected]


@pytest.mark.parametrize(
    ("name", "content", "line", "reason", "raw"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', 2, "not JSON (Expecting value at character 8)", '{"a": '),
        ("a.jsonl", b'"text"\n', 1, "not a JSON object", '"text"'),
        ("a.jsonl", b'{"a": NaN}\n', 1, "contains NaN, which is no JSON number", '{"a": NaN}'),
        ("a.jsonl", b'{"a": 1e999}\n', 1, "contains 1e999, which is too large a number", '{"a": 1e999}'),
        ("a.jsonl", b'{"a": "\xe8"}\n', 1, "not UTF-8", '{"a": "\\xe8"}'),
        ("a.jsonl", b'{"a": "\\ud83d"}\n', 1, "not UTF-8 (half of a surrogate pair)", '{"a": "\\ud83d"}'),
        ("a.jsonl", b'{"a": ["\\u0000"]}\n', 1, "contains a NUL character", '{"a": ["\\u0000"]}'),
        ("a.jsonl", b'{"a": "\0"}\n', 1, "contains a NUL character", '{"a": "\0"}'),
        ("a.jsonl", b'{"a":' + b"[" * 100_000, 1, "nested too deeply", None),
        ("a.csv", b"a,b\n1\n", 2, "has 1 fields where the header has 2", "1"),
        ("a.csv", b"a,b\n1,2,3\n", 2, "has 3 fields where the header has 2", "1,2,3"),
        ("a.csv", b'a,b\n"x\ny",\xe8\n', 2, "not UTF-8", '"x\ny",\\xe8'),
        ("a.csv", b"a,b\n1,\0\n", 2, "contains a NUL character", "1,\0"),
        ("a.csv", b'a,b\n"1" x,2\n', 2, "not CSV (',' expected after '\"')", '"1" x,2'),
        ("a.csv", b'a,b\n1,2\n3,"open\nfor ever', 3, "not CSV (unexpected end of data)", '3,"open\nfor ever'),
    ],
)
def test_bad_rows(tmp_path: Path, name: str, content: bytes, line: int, reason: str, raw: str | None) -> None:
    """A row that cannot be used is named with its line, its reason and its text, and stops nothing."""
    rows = opened(tmp_path, name, content)
    (bad,) = [row for row in rows if isinstance(row, BadRow)]
    assert (bad.line, bad.reason) == (line, reason)
    assert raw is None or bad.raw == raw


def test_reading_goes_on_after_a_bad_row(tmp_path: Path) -> None:
    """The rows around a bad one are read, whatever is wrong with it."""
    content = b'a,b\n1,2\n"x" y,2\n\xff,2\n1\n3,"4\n5"\n6,7\n'
    rows = list(opened(tmp_path, "a.csv", content))
    assert [(row.line, isinstance(row, Row)) for row in rows] == [
        (2, True), (3, False), (4, False), (5, False), (6, True), (8, True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('{"b": 1}', "column 'a' is missing"),
        ('{"a": null}', "column 'a' is null"),
        ('{"a": ""}', "column 'a' is empty"),
        ('{"a": " \\n"}', "column 'a' is empty"),
        ('{"a": []}', "column 'a' is empty"),
        ('{"a": 0}', None),
        ('{"a": false}', None),
    ],
)
def test_required_columns(tmp_path: Path, value: str, reason: str | None) -> None:
    """A row must have something in every column that the recipe reads; nought and false are something."""
    rows = opened(tmp_path, "a.jsonl", value.encode())
    found = check(rows, ["a"])
    assert [bad.reason for bad in found.sample] == ([reason] if reason else [])
    assert len(list(read(rows, ["a"]))) == found.good == (0 if reason else 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty."),
        ("a.csv", b"a,b\n", "has no rows."),
        ("a.csv", b"a,a\n1,2\n", "the header has 'a' more than once; rename one of them."),
        ("a.csv", b"a,,c\n1,2,3\n", "column 2 has no name in the header; name it."),
        ("a.csv", b"\xe8,b\n1,2\n", "the header is not UTF-8 text; save the file as CSV in UTF-8."),
        ("a.csv", b'a,"b\n', "the header is not CSV (unexpected end of data)."),
        ("a.csv", b"b;c\n1;2\n", "has no column 'a'; its columns are: b, c."),
        ("a.csv", "a\n1\n".encode("utf-16"), "is UTF-16; give rows as JSONL, CSV or Parquet, text in UTF-8."),
        ("a.xlsx", b"PK\x03\x04...", "is a ZIP or Excel file; give rows as JSONL, CSV or Parquet, text in UTF-8."),
        ("a.json", b'[{"a": 1}]', "is one JSON list; write one object a line, without the brackets around them."),
        ("a.parquet", b"PAR1 nonsense", "is not a readable Parquet file"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """A file that is no table of rows is refused in one sentence that names it."""
    with pytest.raises(RowsError) as refused:
        check(opened(tmp_path, name, content), ["a"])
    assert str(refused.value).startswith(str(tmp_path / name))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_such_file(tmp_path: Path) -> None:
    """A missing file and a folder are named."""
    with pytest.raises(RowsError, match=r"none\.csv: there is no such file"):
        Rows.open(tmp_path / "none.csv", tmp_path)
    with pytest.raises(RowsError, match=r"cannot be read \(Is a directory\)"):
        Rows.open(tmp_path, tmp_path)


@pytest.mark.parametrize("content", [b' {"a": "1"}\n', b"a\n1\n", b"parquet"])
def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Standard input may hold any format, can be gone through twice, and leaves no copy behind."""
    if content == b"parquet":
        duckdb.sql("SELECT '1' AS a").write_parquet(str(tmp_path / "p"))
        content = (tmp_path / "p").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    rows = Rows.open("-", tmp_path / "spool")
    assert [row.values for _ in range(2) for row in read(rows, ["a"])] == [{"a": "1"}] * 2
    assert (rows.name, rows.sha256()) == ("standard input", hashlib.sha256(content).hexdigest())
    del rows
    assert list((tmp_path / "spool").iterdir()) == []


def test_empty_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on standard input is said so, and leaves no copy behind."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(RowsError, match="standard input is empty"):
        Rows.open("-", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_can_be_read_twice(tmp_path: Path) -> None:
    """What a shell's process substitution gives is copied first, because a pipe is read only once."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a\n1\n2\n",))
    writer.start()
    rows = Rows.open(pipe, tmp_path / "spool")
    writer.join()
    assert check(rows, ["a"]).good == len(list(read(rows, ["a"]))) == 2


def test_parquet_values(tmp_path: Path) -> None:
    """Values that JSON has no word for become strings; a path may hold a pattern's characters."""
    folder = tmp_path / "d[1]*"
    folder.mkdir()
    duckdb.sql(
        """SELECT 'è🙂' AS text, 7 AS whole, 0.5::DOUBLE AS part, true AS yes, NULL AS nothing,
           1.10::DECIMAL(5,2) AS money, DATE '2024-02-29' AS day, TIMESTAMP '2024-02-29 10:00:00.5' AS moment,
           TIMESTAMPTZ '2024-02-29 10:00:00+02' AS instant, TIME '10:00' AS hour, 'ciao'::BLOB AS bytes,
           '\\xFF\\x00'::BLOB AS binary, [1, 2] AS list, {'x': DATE '2024-01-01'} AS struct, MAP {1: 'a'} AS map"""
    ).write_parquet(str(tmp_path / "x.parquet"))
    (tmp_path / "x.parquet").rename(folder / "x?.parquet")
    (row,) = Rows.open(folder / "x?.parquet", tmp_path)
    assert isinstance(row, Row)
    assert row.values == {
        "text": "è🙂", "whole": 7, "part": 0.5, "yes": True, "nothing": None, "money": "1.10",
        "day": "2024-02-29", "moment": "2024-02-29T10:00:00.500000", "instant": "2024-02-29T08:00:00+00:00",
        "hour": "10:00:00", "bytes": "ciao", "binary": "/wA=", "list": [1, 2], "struct": {"x": "2024-01-01"},
        "map": {"1": "a"},
    }  # fmt: skip


def test_bad_parquet_rows(tmp_path: Path) -> None:
    """Parquet rows are counted, not lined, and keep their order."""
    duckdb.sql(
        """SELECT CASE i WHEN 2 THEN 'nan'::DOUBLE ELSE i END AS n, CASE i WHEN 4 THEN NULL ELSE 'x' END AS a
           FROM range(5000) t(i)"""
    ).write_parquet(str(tmp_path / "x.parquet"))
    rows = Rows.open(tmp_path / "x.parquet", tmp_path)
    found = check(rows, ["a"])
    assert str(RowsError.of(rows, found)).splitlines()[:2] == [
        f"{tmp_path}/x.parquet, row 3: contains nan, which is no JSON number",
        f"{tmp_path}/x.parquet, row 5: column 'a' is null",
    ]
    assert [row.values["n"] for row in read(rows, ["a"])] == [n for n in range(5000) if n not in (2, 4)]


def test_all_bad_rows_in_one_error(tmp_path: Path) -> None:
    """The error shows the first twenty, counts the rest and says what to do; memory holds a sample."""
    lines = [b'{"a": "' + b"x" * 5_000 + b'"' if n % 2 else b'{"a": "y"}' for n in range(3_000)]
    rows = opened(tmp_path, "a.jsonl", b"\n".join(lines))
    found = check(rows, ["a"])
    assert (found.good, found.bad, len(found.sample), found.columns) == (1_500, 1_500, 1_000, {"a"})
    assert {len(bad.raw) for bad in found.sample} == {2_000}
    message = str(RowsError.of(rows, found)).splitlines()
    assert message[0] == f"{tmp_path}/a.jsonl, line 2: not JSON (Expecting ',' delimiter at character 5010)"
    assert len(message) == 22
    assert message[20:] == ["and 1,480 more", "Mend these rows, or leave them out with --skip-bad-rows."]
    assert str(RowsError.of(rows, Checked(0, 1, [BadRow(1_234, "x", "")], set()))).startswith(
        f"{rows.name}, line 1,234: x\n"
    )


def test_columns_are_those_of_every_good_row(tmp_path: Path) -> None:
    """A column counts as there only when every good row has it."""
    rows = opened(tmp_path, "a.jsonl", b'{"a": 1, "b": 2}\n{"b": 1}\n{"b": 3, "a": 2, "c": 1}\n')
    assert check(rows, ["a"]).columns == {"a", "b"}


def test_rejects_are_written(tmp_path: Path) -> None:
    """Bad rows go to a file, each with where it stood, why it is bad and what it was."""
    rows = opened(tmp_path, "a.jsonl", b'{"a": "x"}\n{"a": "\xe8"}\n{"b": "\xc3\xa8"}\n')
    to = tmp_path / "out" / "bad.jsonl"
    assert write_rejects(rows, ["a"], to) == 2
    assert [json.loads(line) for line in to.read_text(encoding="utf-8").splitlines()] == [
        {"file": rows.name, "line": 2, "reason": "not UTF-8", "raw": '{"a": "\\xe8"}'},
        {"file": rows.name, "line": 3, "reason": "column 'a' is missing", "raw": '{"b": "è"}'},
    ]
    assert write_rejects(rows, [], tmp_path / "none" / "x") == 1
    assert write_rejects(opened(tmp_path, "b.csv", b"a\n1\n"), ["a"], tmp_path / "bad2.jsonl") == 0
    assert not (tmp_path / "bad2.jsonl").exists()
    with pytest.raises(RowsError, match="the file for bad rows, cannot be written"):
        write_rejects(rows, ["a"], tmp_path / "a.jsonl" / "bad.jsonl")


@pytest.mark.parametrize("head", [b'{"a": "', b'a\n"'])
def test_a_row_without_end(tmp_path: Path, head: bytes) -> None:
    """A line or a quote that never ends is one bad row, not a file in memory; the rows after it are read."""
    ends = b"\n" if head.startswith(b"a") else b" "
    filling = (b"x" * 1_000 + ends) * (LONGEST_ROW // 1_000 + 2)
    rows = list(opened(tmp_path, "big", head + filling + b"\n" + (b"z\n" if head.startswith(b"a") else b'{"a": 1}\n')))
    assert isinstance(rows[0], BadRow)
    assert "longer than 16 MiB" in rows[0].reason
    assert isinstance(rows[-1], Row)


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Forty megabytes of rows are checked and read in a tenth of that."""
    with (tmp_path / "a.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"n": n, "a": "x" * 2_000}) + "\n" for n in range(20_000))
    rows = Rows.open(tmp_path / "a.jsonl", tmp_path)
    tracemalloc.start()
    try:
        assert check(rows, ["a"]).good == sum(1 for _ in read(rows, ["a"])) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@settings(deadline=None)
@given(st.lists(st.dictionaries(TEXT, JSON, max_size=4), min_size=1), st.booleans())
def test_jsonl_round_trip(values: list[dict[str, Any]], ascii_only: bool) -> None:
    """What is written as JSONL is read back equal, escaped or not."""
    with tempfile.TemporaryDirectory() as folder:
        content = "".join(json.dumps(value, ensure_ascii=ascii_only) + "\n" for value in values)
        rows = opened(Path(folder), "a.jsonl", content.encode())
        assert list(rows) == [Row(line, value) for line, value in enumerate(values, 1)]


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1), st.sampled_from(",;\t"), st.booleans())
def test_csv_round_trip(values: list[tuple[str, str, str]], delimiter: str, bom: bool) -> None:
    """What is written as CSV is read back equal, each row at the line at which it starts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        starts = []
        with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow("abc")
            for value in values:
                file.flush()
                starts.append(path.read_bytes().count(b"\n") + 1)
                writer.writerow(value)
        rows = list(Rows.open(path, Path(folder)))
        assert rows == [
            Row(line, dict(zip("abc", value, strict=True))) for line, value in zip(starts, values, strict=True)
        ]
