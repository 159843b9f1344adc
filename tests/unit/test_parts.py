"""Part files: whatever crashes, every row is there once, in order."""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from part_samples import EXHAUSTED, collect, entry, rows_of, stored

from ledger.part_files import Part, StreamId, list_parts, part_name
from ledger.part_lines import Lines
from ledger.part_merge import worth_merging
from ledger.parts import KINDS, Entry, Kind, Parts, PartsError

SMALL, LARGEST = Lines.small, Lines.largest


def test_every_single_crash(tmp_path: Path) -> None:
    """A crash before or after any one change of the disk, in any of its order, loses and doubles nothing."""
    entries = [entry(n, "arrra"[n % 5 : n % 5 + n % 3]) for n in range(10)]
    crash_at = 1
    while True:
        directory, stream = tmp_path / str(crash_at), list(entries)
        done = collect(stream, directory, 3, crash_at)
        collect(stream, directory, 5, 0)
        assert stored(directory) == rows_of(entries), f"crash at step {crash_at}"
        assert {kind: Parts(directory).count(kind) for kind in KINDS} == {
            k: len(v) for k, v in rows_of(entries).items()
        }
        if done == EXHAUSTED:
            break
        crash_at += 1
    assert crash_at > 50


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.text("ar", max_size=3), min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 60), st.integers(0, 8)), max_size=8),
)
def test_crash_after_crash(outcomes: list[str], runs: list[tuple[int, int, int]]) -> None:
    """However often it crashes, with whatever batches and with new results in between, the union is exact."""
    coming = [entry(n, text) for n, text in enumerate(outcomes)]
    everything, stream = list(coming), list[Entry]()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for batch, crash_at, new in runs:
            stream += coming[:new]
            del coming[:new]
            collect(stream, directory, batch, crash_at)
            seen = rows_of(everything[: len(everything) - len(coming)])
            for kind, rows in stored(directory).items() if (directory / "accepted").exists() else ():
                assert rows == seen[kind][: len(rows)]
        stream += coming
        collect(stream, directory, 4, 0)
        assert stored(directory) == rows_of(everything)


def test_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part's bytes are on the disk before it has its name, and its name before write returns."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    parts = Parts(tmp_path)
    parts.open()
    monkeypatch.setattr(
        os, "fsync", lambda h: (fsync(h), done.append("folder" if Path(f"/proc/self/fd/{h}").is_dir() else "file"))
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (replace(a, b), done.append("name")))
    parts.write([entry(1)])
    assert done == ["file", "name", "folder"] * 2
    parts.close()


def test_ids_compare_as_numbers(tmp_path: Path) -> None:
    """Entry 10-0 comes after 9-0 and 5-10 after 5-9, on disk too."""
    parts = Parts(tmp_path)
    ids = ["5-9", "5-10", "9-0", "10-0"]
    for stream_id in ids:
        parts.write([(stream_id, json.dumps({"worker": stream_id}).encode(), b"[]")])
    parts.close()
    assert [row["worker"] for row in Parts(tmp_path).iterate("attempts")] == ids
    parts.write([(stream_id, b"{}", b"[]") for stream_id in ids])
    parts.close()
    assert parts.count("attempts") == len(ids)


def test_a_kind_without_rows_lags(tmp_path: Path) -> None:
    """A batch without rejected examples writes no file for them, and the next one still counts each once."""
    parts = Parts(tmp_path)
    assert parts.write([entry(0, "a"), entry(1, "a")]) == 2
    assert not list((tmp_path / "rejected").iterdir())
    assert parts.write([entry(1, "a"), entry(2, "ra")]) == 2
    parts.close()
    assert stored(tmp_path) == rows_of([entry(0), entry(1), entry(2, "ra")])


def test_leftovers(tmp_path: Path) -> None:
    """Unfinished files and parts within others are never read, and are removed by the next writer alone."""
    parts = Parts(tmp_path)
    parts.write([entry(n) for n in range(6)])
    parts.close()
    accepted = tmp_path / "accepted"
    unfinished, covered = (
        accepted / ".part-9-0-9-0.jsonl.unfinished",
        accepted / part_name(StreamId(1, 0), StreamId(1, 5)),
    )
    unfinished.write_text('{"id": ')
    covered.write_text('{"id": "again"}\n')
    assert stored(tmp_path)["accepted"] == rows_of([entry(n) for n in range(6)])["accepted"]
    assert unfinished.exists()
    assert covered.exists()
    parts.open()
    parts.close()
    assert len(list(accepted.iterdir())) == 1


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """A full disk is one sentence, leaves nothing half done, and the same entries go through once there is room."""
    parts = Parts(tmp_path)
    parts.open()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        with pytest.raises(PartsError, match=r"^\S+ cannot be written \(No space left on device\): nothing was taken"):
            parts.write([entry(1, "ar")])
    assert stored(tmp_path)["accepted"] == []
    parts.write([entry(1, "ar"), entry(2, "ar")])
    parts.close()
    assert stored(tmp_path) == rows_of([entry(1, "ar"), entry(2, "ar")])
    assert {len(list((tmp_path / kind).iterdir())) for kind in KINDS} == {1}


def test_a_merge_that_fails_is_put_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Merging is a convenience: without room for it everything stays as it was."""
    parts = Parts(tmp_path)
    for n in range(4):
        parts.write([entry(n)])

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert parts.compact(least=2) == 0
    assert stored(tmp_path) == rows_of([entry(n) for n in range(4)])
    assert parts.compact(least=2) == 8
    parts.close()
    assert stored(tmp_path) == rows_of([entry(n) for n in range(4)])


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    """A folder that cannot be made is named."""
    (tmp_path / "file").touch()
    with pytest.raises(PartsError, match=r"file\S* cannot be written \(Not a directory\)"):
        Parts(tmp_path / "file" / "job").write([entry(1)])


def test_one_writer(tmp_path: Path) -> None:
    """A second writer is refused while the first one lives, whoever reads; the folder keeps its identity."""
    first, second = Parts(tmp_path), Parts(tmp_path)
    first.write([entry(1)])
    with pytest.raises(PartsError, match="is being written by another process"):
        second.open()
    assert second.count("accepted") == 1
    first.close()
    second.open()
    assert second.identity == first.identity != ""
    second.close()


@pytest.mark.parametrize("kind", ["accepted", "attempts"])
def test_readers_put_merging_off(tmp_path: Path, kind: Kind) -> None:
    """Whoever is in the middle of reading finds every part that was there at the start."""
    parts = Parts(tmp_path)
    for n in range(4):
        parts.write([entry(n)])
    reader = Parts(tmp_path).iterate(kind)
    read = [next(reader)]
    assert parts.compact(least=2) == 0
    read += reader
    assert parts.compact(least=2) == 8
    parts.close()
    assert read == rows_of([entry(n) for n in range(4)])[kind]


@pytest.mark.parametrize("kind", ["accepted", "attempts"])
def test_going_on_from_a_row(tmp_path: Path, kind: Kind) -> None:
    """Who has seen n rows goes on after them, though the parts were merged meanwhile."""
    parts = Parts(tmp_path)
    for n in range(6):
        parts.write([entry(n, "aa")])
        if n == 3:
            parts.compact(least=2)
    expected = rows_of([entry(n, "aa") for n in range(6)])[kind]
    for skip in range(14):
        assert list(parts.iterate(kind, skip)) == expected[skip:]
    parts.close()


def test_rows_that_json_cannot_hold(tmp_path: Path) -> None:
    """Half a surrogate pair and NaN are mended; all other text stays as it is, one row a line."""
    text = "null \u2028 \n \x85 è 🙂 \\u0000 \x7f"
    bad = {
        "outcome": "accepted",
        "t": "\ud83d",
        "n": [math.nan, math.inf, 1.5],
        "\udc00": 2**70,
        "ok": text,
    }
    parts = Parts(tmp_path)
    parts.write([("1-0", b"{}", json.dumps([bad]).encode())])
    assert list(parts.iterate("accepted")) == [
        {"outcome": "accepted", "t": "\ufffd", "n": [None, None, 1.5], "\ufffd": 2**70, "ok": text}
    ]
    assert parts.count("accepted") == 1
    parts.close()


@pytest.mark.parametrize("examples", [b"", b"7", b'[{"outcome": "else"}]', b"[{}]", b"[3]"])
def test_an_entry_that_is_no_result(tmp_path: Path, examples: bytes) -> None:
    """An entry that cannot be understood is not dropped: collecting stops and names it."""
    parts = Parts(tmp_path)
    with pytest.raises(PartsError, match="Stream entry 7-1 is not a result"):
        parts.write([entry(1), ("7-1", b"{}", examples)])
    parts.close()
    assert stored(tmp_path)["accepted"] == []


def test_a_damaged_part(tmp_path: Path) -> None:
    """A line that is no JSON is named with its file."""
    parts = Parts(tmp_path)
    parts.write([entry(1)])
    parts.close()
    (path,) = (tmp_path / "accepted").iterdir()
    path.write_text("{}\n{\n")
    with pytest.raises(PartsError, match=rf"{path.name} is damaged \(line 2 is not JSON\)"):
        list(parts.iterate("accepted"))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 4 * SMALL), min_size=1, max_size=300))
def test_merging_keeps_files_few_and_copies_little(sizes: list[int]) -> None:
    """Files stay few for their size, none outgrows the limit, and a byte is copied a logarithm of times."""
    parts: list[Part] = []
    copied = 0
    for n, size in enumerate(sizes):
        parts.append(Part(StreamId(n, 0), StreamId(n, 0), Path(), size))
        chosen = worth_merging(parts, SMALL, LARGEST)
        if len(chosen) >= 16:
            total = sum(part.size for part in chosen)
            assert total <= LARGEST
            copied += total
            parts[-len(chosen) :] = [Part(chosen[0].first, chosen[-1].last, Path(), total)]
    assert sum(part.size for part in parts) == sum(sizes)
    assert copied <= sum(sizes) * 8
    assert sum(part.size <= SMALL for part in parts) <= 16 + 16 * sum(sizes) / SMALL


def test_range_of_a_merged_part(tmp_path: Path) -> None:
    """A merged part spans from the first of its parts to the last, so that it covers them."""
    parts = Parts(tmp_path)
    for n in range(3):
        parts.write([entry(n), entry(n + 1)])
    parts.compact(least=2)
    parts.close()
    (part,) = list_parts(tmp_path / "accepted")[0]
    assert part.path.name == f"part-{entry(0)[0]}-{entry(3)[0]}.jsonl"
