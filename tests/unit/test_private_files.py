"""What holds answers, which cost money, or rows, which may be secret, is readable for its owner alone."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from part_samples import entry

from console.export import export
from ledger.parts import Parts
from producers.rows import Rows
from workers.journal import Journal


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    """A machine where files are readable for everyone unless somebody says otherwise."""
    before = os.umask(0o000)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[Path]:
    """What of a folder's content others than the owner may read, or look into."""
    found = [path for path in folder.rglob("*") if not path.is_symlink()]
    assert found
    return [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_part_files(tmp_path: Path) -> None:
    """Accepted, rejected and attempts, their folders, and what a merge makes of them."""
    parts = Parts(tmp_path / "jobs" / "small-0123456789")
    for number in range(20):
        parts.write([entry(number + 1, "ar")])
    parts.compact(least=2)
    parts.close()
    assert open_to_others(tmp_path) == []


def test_journals(tmp_path: Path) -> None:
    """Answers that wait for the broker, and those that could not be settled."""
    journal = Journal(tmp_path / "journal", "worker")
    journal.write("t", {"examples": ["an answer"]})
    journal.set_aside({"examples": ["an answer"]}, "its job is lost")
    assert len(list((tmp_path / "journal").iterdir())) == 2
    assert open_to_others(tmp_path) == []
    journal.done("t")


def test_rows_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy that is made of rows that can be read only once."""
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b'{"text": "a secret"}\n')))
    Rows.open("-", tmp_path / "spool")
    assert open_to_others(tmp_path) == []


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_exports(tmp_path: Path, ending: str) -> None:
    """A dataset, whatever its format."""
    example = {"id": "small-000000", "index": 0, "outcome": "accepted", "recipe": "small", "output": {"a": "b"}}
    parts = Parts(tmp_path / "parts")
    parts.write([("1-0", b'{"unit": 0}', json.dumps([example]).encode())])
    parts.close()
    assert export(tmp_path / "parts", tmp_path / f"dataset.{ending}")
    assert open_to_others(tmp_path) == []
