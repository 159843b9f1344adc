"""Parts of attempts: Parquet of fixed columns that is as safe as lines, and old lines that become it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from part_samples import EXHAUSTED, attempt_of, collect, entry, rows_of, stored

from ledger.attempt_rows import COLUMNS
from ledger.part_files import StreamId, list_parts
from ledger.parts import Entry, Parts, PartsError

ROOT = Path(__file__).parents[2]


def earlier_version(directory: Path, entries: list[Entry], batch: int = 2) -> None:
    """Store entries as a version did that kept attempts in lines of JSON, without the number of their examples."""
    parts = Parts(directory)
    for n in range(0, len(entries), batch):
        parts.write(entries[n : n + batch])
    parts.close()
    for part in list_parts(directory / "attempts")[0]:
        within = [one for one in entries if part.first <= StreamId.parse(one[0]) <= part.last]
        part.path.with_suffix(".jsonl").write_bytes(b"".join(attempt + b"\n" for _, attempt, _ in within))
        part.path.unlink()


def counted_no_examples(rows: list[dict[str, Any]], old: int) -> list[dict[str, Any]]:
    """The first `old` rows as an earlier version left them: how many examples they settled is not known."""
    nothing = {"accepted": None, "rejected": None}
    return [row | nothing if n < old else row for n, row in enumerate(rows)]


def test_every_single_crash_over_an_earlier_version(tmp_path: Path) -> None:
    """A crash at any change of the disk, while old attempts become Parquet beside new ones, loses and doubles none."""
    entries = [entry(n, "ar"[: n % 3]) for n in range(8)]
    expected = counted_no_examples(rows_of(entries)["attempts"], 4)
    crash_at = 1
    while True:
        directory, stream = tmp_path / str(crash_at), entries[4:]
        earlier_version(directory, entries[:4])
        done = collect(stream, directory, 2, crash_at)
        seen = stored(directory)["attempts"]
        assert seen == expected[: len(seen)]
        assert len(seen) >= len(entries) - len(stream)
        collect(stream, directory, 3, 0)
        assert stored(directory)["attempts"] == expected, f"crash at step {crash_at}"
        assert Parts(directory).count("attempts") == len(entries)
        files = [path.suffix for path in (directory / "attempts").iterdir()]
        assert files == [".parquet"]
        if done == EXHAUSTED:
            break
        crash_at += 1
    assert crash_at > 30


def test_attempts_of_an_earlier_version(tmp_path: Path) -> None:
    """Old lines are counted and read as they are, go on under the same numbers beside Parquet, and read-only."""
    entries = [entry(n) for n in range(7)]
    earlier_version(tmp_path, entries[:5])
    parts = Parts(tmp_path)
    parts.write(entries)
    parts.close()
    suffixes = {part.path.suffix for part in list_parts(tmp_path / "attempts")[0]}
    assert suffixes == {".jsonl", ".parquet"}
    expected = counted_no_examples(rows_of(entries)["attempts"], 5)
    for skip in range(9):
        assert list(Parts(tmp_path).iterate("attempts", skip)) == expected[skip:]
    assert Parts(tmp_path).count("attempts") == 7
    assert {part.path.suffix for part in list_parts(tmp_path / "attempts")[0]} == suffixes


def test_killed_for_real(tmp_path: Path) -> None:
    """A writer killed by the system in the middle of its work has stored all it said it had, in order, once each."""
    script = """
import json, sys
from pathlib import Path
from ledger.parts import Parts
parts, n = Parts(Path(sys.argv[1])), int(sys.argv[2])
while True:
    entries = [(f"{k + 1}-0", json.dumps({"unit": k}).encode(), b'[]') for k in range(n, n + 50)]
    parts.write(entries)
    n += 50
    print(n, flush=True)
    parts.compact(least=4)
"""
    written = 0
    for lines in (3, 5, 9):
        command = [sys.executable, "-c", script, str(tmp_path), str(written)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline()) for _ in range(lines)][-1]
            writer.kill()
            writer.wait()
        units = [row["unit"] for row in Parts(tmp_path).iterate("attempts")]
        assert units == list(range(len(units)))
        assert len(units) >= told
        parts = Parts(tmp_path)
        parts.open()
        parts.close()
        assert not list((tmp_path / "attempts").glob(".*"))
        written = len(units)


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut short": whole[:-9],
            "half": whole[:half],
            "zeros": whole[:8] + bytes(half) + whole[8 + half :],
            "something else": b'{"unit": 1}\n' * 9,
        }[how]
    )


@pytest.mark.parametrize("how", ["empty", "cut short", "half", "zeros", "something else"])
def test_damaged_attempts(tmp_path: Path, how: str) -> None:
    """Parquet that is not whole is one sentence that names the file; what comes after it is merged all the same."""
    entries = [entry(n) for n in range(6)]
    parts = Parts(tmp_path)
    for one in entries:
        parts.write([one])
    victim = list_parts(tmp_path / "attempts")[0][2].path
    damage(victim, how)
    sentence = rf"^{victim} is damaged \(it is not a whole Parquet file of attempts\): put back .*[.]$"
    with pytest.raises(PartsError, match=sentence):
        list(Parts(tmp_path).iterate("attempts"))
    assert parts.compact(least=2) == 6  # accepted
    assert parts.compact(least=2) == 3
    assert parts.compact(least=2) == 0
    parts.write([entry(6)])
    assert parts.compact(least=2) == 4
    parts.close()
    assert [part.path for part in list_parts(tmp_path / "attempts")[0]][2:3] == [victim]
    victim.rename(tmp_path / "elsewhere")
    rows = rows_of([*entries, entry(6)])["attempts"]
    assert list(Parts(tmp_path).iterate("attempts")) == rows[:2] + rows[3:]
    assert Parts(tmp_path).count("attempts") == 6


def test_a_damaged_line_of_an_earlier_version(tmp_path: Path) -> None:
    """An old line that is no attempt is named with its number, and stays as it is."""
    earlier_version(tmp_path, [entry(n) for n in range(4)])
    (_, path) = (part.path for part in list_parts(tmp_path / "attempts")[0])
    path.write_text('{"unit": 2}\n{"unit": "three"}\n')
    with pytest.raises(
        PartsError, match=rf'^{path} is damaged \(line 2: unit is "three", which is not of type BIGINT\)'
    ):
        list(Parts(tmp_path).iterate("attempts"))
    parts = Parts(tmp_path)
    parts.compact(least=2)
    parts.close()
    assert [part.path.suffix for part in list_parts(tmp_path / "attempts")[0]] == [".parquet", ".jsonl"]
    assert not list((tmp_path / "attempts").glob(".*"))


def test_attempts_that_the_disk_refuses(tmp_path: Path) -> None:
    """Where DuckDB cannot write, its reason is told, nothing is left, and the same entries go through later."""
    parts = Parts(tmp_path)
    parts.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(PartsError, match=r"attempts\S+ cannot be written \(File too large\): nothing was taken"):
            parts.write([entry(n) for n in range(9)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "attempts").iterdir()) == []
    parts.write([entry(n) for n in range(9)])
    parts.close()
    assert stored(tmp_path) == rows_of([entry(n) for n in range(9)])


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("cost_nano_usd", "7", 'cost_nano_usd is "7", which is not of type BIGINT'),
        ("cost_nano_usd", 2**63, f"cost_nano_usd is {2**63}, which is not of type BIGINT"),
        ("prompt_tokens", 1.5, "prompt_tokens is 1.5, which is not of type BIGINT"),
        ("unit", True, "unit is true, which is not of type BIGINT"),
        ("attempt", 2**31, f"attempt is {2**31}, which is not of type INTEGER"),
        ("latency_seconds", "x", 'latency_seconds is "x", which is not of type DOUBLE'),
        ("at", "yesterday", 'at is "yesterday", which is not of type TIMESTAMP'),
        ("at", 5, "at is 5, which is not of type TIMESTAMP"),
        ("reason", ["a" * 99], r'reason is \["' + "a" * 58 + "…, which is not of type VARCHAR"),
    ],
)
def test_a_value_that_does_not_fit(tmp_path: Path, field: str, value: Any, shown: str) -> None:
    """A value that its column cannot hold would be missing in sums: the entry is named, and none is taken."""
    parts = Parts(tmp_path)
    with pytest.raises(PartsError, match=rf"^Stream entry 7-1 is not a result \({shown}\): nothing was taken"):
        parts.write([entry(1), ("7-1", json.dumps({field: value}).encode(), b"[]")])
    parts.close()
    assert stored(tmp_path)["attempts"] == []


def test_a_record_that_is_no_object(tmp_path: Path) -> None:
    """A list in the place of an attempt's record is not a result."""
    parts = Parts(tmp_path)
    with pytest.raises(PartsError, match=r"^Stream entry 7-1 is not a result \(TypeError\)"):
        parts.write([("7-1", b"[]", b"[]")])
    parts.close()


TEXT = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
BIG = st.integers(-(2**63), 2**63 - 1)
MOMENT = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "VARCHAR": TEXT,
    "BIGINT": BIG,
    "INTEGER": st.integers(-(2**31), 2**31 - 1),
    "DOUBLE": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "TIMESTAMP": MOMENT.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
}
MORE = st.dictionaries(
    st.sampled_from(["more", "temperature", "però", "Unit", "duplicate"]),
    st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT, max_size=2),
    max_size=3,
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.fixed_dictionaries({}, optional={n: VALUES[k] for n, k in COLUMNS.items()}), MORE)))
def test_attempts_come_back(records: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Every value of every column comes back as it was, `at` as ISO with milliseconds, and fields of no column too."""
    entries, expected = [], []
    for n, (typed, more) in enumerate(records):
        record = typed | more | ({"at": typed["at"].isoformat(timespec="milliseconds")} if "at" in typed else {})
        entries.append((f"{n}-1", json.dumps(record).encode(), b"[]"))
        expected.append(attempt_of(record, []))
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(Path(folder))
        for one in entries:
            parts.write([one])
        assert list(parts.iterate("attempts")) == expected
        parts.compact(least=2)
        assert list(parts.iterate("attempts")) == expected
        parts.close()


def test_moments_of_other_forms(tmp_path: Path) -> None:
    """A time of another zone is kept in UTC, one without a zone is UTC, and microseconds are not cut off."""
    times = ["2026-03-01T01:30:00+02:00", "2026-03-01T01:30:00", "2026-03-01T01:30:00.123456Z"]
    parts = Parts(tmp_path)
    parts.write([(f"{n}-1", json.dumps({"at": at}).encode(), b"[]") for n, at in enumerate(times)])
    parts.close()
    assert [row["at"] for row in Parts(tmp_path).iterate("attempts")] == [
        "2026-02-28T23:30:00.000+00:00",
        "2026-03-01T01:30:00.000+00:00",
        "2026-03-01T01:30:00.123456+00:00",
    ]


def test_attempts_are_a_fixed_table(tmp_path: Path) -> None:
    """Whatever a part holds, any reader of Parquet finds the same columns of the same types, one row an attempt."""
    parts = Parts(tmp_path)
    parts.write([("1-1", b"{}", b"[]")])
    parts.write([("2-1", b'{"latency_seconds": 2, "new": [1]}', b'[{"outcome": "accepted"}, {"outcome": "rejected"}]')])
    parts.close()
    with duckdb.connect() as connection:
        for part in list_parts(tmp_path / "attempts")[0]:
            table = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(part.path)]).fetchall()
            assert {name: kind for name, kind, *_ in table} == COLUMNS | {"more": "JSON"}
        query = "SELECT latency_seconds, accepted, rejected, more FROM read_parquet(?) ORDER BY ALL"
        found = connection.execute(query, [str(tmp_path / "attempts" / "*.parquet")]).fetchall()
    assert found == [(2.0, 1, 1, '{"new":[1]}'), (None, 0, 0, None)]


def test_a_folder_with_any_name(tmp_path: Path) -> None:
    """Letters that mean something in a pattern or in SQL do not in a folder's name."""
    directory = tmp_path / "it's [1] * job=2 {a,b} $x %s"
    parts = Parts(directory)
    for n in range(3):
        parts.write([entry(n)])
    parts.compact(least=2)
    parts.close()
    assert stored(directory) == rows_of([entry(n) for n in range(3)])
    assert Parts(directory).count("attempts") == 3


def test_a_collector_starts_without_duckdb() -> None:
    """What a collector imports leaves the slow start of DuckDB to the first attempts."""
    check = "import sys, ledger.collector, console.usage; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0
