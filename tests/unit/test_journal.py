"""The journal: what Redis could not take is on disk until it has, whatever becomes of the worker."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from workers.journal import Journal

ONE: dict[str, Any] = {"job": "quiz-1", "unit": 3, "examples": [{"output": "Perché è così? 😀\u2028"}]}
TWO: dict[str, Any] = {"job": "quiz-1", "unit": 4, "examples": [], "settlement": {"cost": None}}


def lines(folder: Path) -> list[dict[str, Any]]:
    """What stands in all journals of a folder."""
    return [json.loads(line) for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines()]


def left_by_a_dead_worker(folder: Path, name: str, *settlements: dict[str, Any]) -> Path:
    """The file of a worker that died with these settlements open."""
    journal = Journal(folder / "living", name)
    for settlement in settlements:
        journal.write(str(settlement["unit"]), settlement)
    path = shutil.copy(folder / "living" / f"{name}.jsonl", folder)
    for settlement in settlements:
        journal.done(str(settlement["unit"]))
    return Path(path)


def test_written_before_it_is_tried_again(tmp_path: Path) -> None:
    """A settlement is on disk when `write` returns, whole, and once however often it is written."""
    journal = Journal(tmp_path / "journal", "w1")
    for _ in range(3):
        journal.write("a", ONE)
    assert lines(tmp_path / "journal") == [{"token": "a", **ONE}]
    journal.done("a")


def test_nothing_stays_when_all_is_settled(tmp_path: Path) -> None:
    """The file goes with the last open settlement, not before, and comes back when there is another."""
    journal = Journal(tmp_path, "w1")
    journal.write("a", ONE)
    journal.write("b", TWO)
    journal.done("a")
    assert len(lines(tmp_path)) == 2
    journal.done("b")
    assert list(tmp_path.iterdir()) == []
    journal.write("c", TWO)
    assert lines(tmp_path) == [{"token": "c", **TWO}]
    journal.done("c")
    assert list(tmp_path.iterdir()) == []


def test_a_settlement_that_was_never_written(tmp_path: Path) -> None:
    """Where Redis took all at once, there is neither file nor folder."""
    journal = Journal(tmp_path / "journal", "w1")
    journal.done("a")
    assert list(journal.left_behind()) == []
    assert not (tmp_path / "journal").exists()


def test_the_file_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    """Nobody replays what a living worker is about to settle itself, not even that worker."""
    living = Journal(tmp_path, "w1")
    living.write("a", ONE)
    assert list(Journal(tmp_path, "w2").left_behind()) == []
    assert list(living.left_behind()) == []
    assert lines(tmp_path) == [{"token": "a", **ONE}]
    living.done("a")


def test_what_dead_workers_left_is_replayed(tmp_path: Path) -> None:
    """All settlements of all dead workers are given, each as it was written, and then their files are gone."""
    paths = [left_by_a_dead_worker(tmp_path, "w1", ONE, TWO), left_by_a_dead_worker(tmp_path, "w2", TWO)]
    found = list(Journal(tmp_path, "w3").left_behind())
    assert found == [{"token": "3", **ONE}, {"token": "4", **TWO}, {"token": "4", **TWO}]
    assert not any(path.exists() for path in paths)
    assert list(Journal(tmp_path, "w3").left_behind()) == []


def test_a_line_that_was_half_written(tmp_path: Path) -> None:
    """Wherever the machine stopped writing, even within a letter, the lines before it are replayed."""
    whole = left_by_a_dead_worker(tmp_path, "w1", TWO, ONE).read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        (tmp_path / "w1.jsonl").write_bytes(whole[:cut])
        found = list(Journal(tmp_path, "w2").left_behind())
        assert found[0] == {"token": "4", **TWO}
        assert found[1:] == ([{"token": "3", **ONE}] if cut == len(whole) - 1 else [])
        assert not (tmp_path / "w1.jsonl").exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n", b"{\n", b"\x00" * 40])
def test_a_file_that_holds_nothing(tmp_path: Path, content: bytes) -> None:
    """A file without a settlement, as a full disk leaves it, is taken away without an error."""
    (tmp_path / "w1.jsonl").write_bytes(content)
    assert list(Journal(tmp_path, "w2").left_behind()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_replay_that_stops_half_way(tmp_path: Path) -> None:
    """A file whose replay was not finished stays, and is replayed whole the next time."""
    path = left_by_a_dead_worker(tmp_path, "w1", ONE, TWO)
    half = Journal(tmp_path, "w2").left_behind()
    assert next(half)["unit"] == 3
    half.close()  # type: ignore[attr-defined]
    assert path.exists()
    assert [one["unit"] for one in Journal(tmp_path, "w3").left_behind()] == [3, 4]


def test_two_replays_at_once(tmp_path: Path) -> None:
    """A file is replayed by one process at a time."""
    left_by_a_dead_worker(tmp_path, "w1", ONE)
    mine = Journal(tmp_path, "w2").left_behind()
    next(mine)
    assert list(Journal(tmp_path, "w3").left_behind()) == []
    assert list(mine) == []
    assert not (tmp_path / "w1.jsonl").exists()


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    """Where nothing can be written the caller is told, and what was not written does not count as open."""
    (tmp_path / "journal").write_text("a file where the folder belongs")
    journal = Journal(tmp_path / "journal", "w1")
    for _ in range(2):
        with pytest.raises(OSError, match="journal"):
            journal.write("a", ONE)
