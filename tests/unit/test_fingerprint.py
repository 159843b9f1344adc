"""What tells one version of an output class from another, and which jobs a worker therefore takes."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from config import importing
from config.fingerprint import fingerprint
from config.recipes import schemas
from ledger.jobs import OutputClass, Running
from workers.fitting import Fitting

CARDS = """
from pydantic import BaseModel, field_validator


class Card(BaseModel):
    front: str
    back: str

    @field_validator("front")
    @classmethod
    def _short(cls, front: str) -> str:
        assert len(front) < 80
        return front


class Deck(BaseModel):
    front: str
    back: str
"""


@pytest.fixture
def folder(clean: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that recipes' classes are imported from."""
    clean.setattr(importing, "_folders", [])
    clean.setattr(sys, "path", [*sys.path])
    importing.importable_from(tmp_path)
    return tmp_path


def card(folder: Path, text: str = CARDS, name: str = "Card") -> type[BaseModel]:
    """The class, freshly imported from a module of that text."""
    sys.modules.pop("cards", None)
    (folder / "cards.py").write_text(text)
    # Two texts may be written in the same second, and be as long as each other.
    for compiled in folder.rglob("*.pyc"):
        compiled.unlink()
    importlib.invalidate_caches()
    found: type[BaseModel] = getattr(importlib.import_module("cards"), name)
    return found


def test_the_same_text_is_the_same_version(folder: Path) -> None:
    """On another machine too, whatever its ends of lines."""
    assert fingerprint(card(folder)) == fingerprint(card(folder, CARDS.replace("\n", "  \n")))
    assert len(fingerprint(schemas.Quiz)) == 16


@pytest.mark.parametrize(
    ("old", "new"), [("< 80", "< 60"), ("back: str", "back: int"), ("front) < 80", "front)  < 80")]
)
def test_a_change_is_another_version(folder: Path, old: str, new: str) -> None:
    """Of a check, of the schema, or of the source alone."""
    first = fingerprint(card(folder))
    assert first != fingerprint(card(folder, CARDS.replace(old, new, 1)))


def test_classes_of_one_module_differ(folder: Path) -> None:
    """Two classes with the same fields in the same file are not taken for each other."""
    assert fingerprint(card(folder)) != fingerprint(card(folder, name="Deck"))


def test_a_class_without_its_source(folder: Path) -> None:
    """Its schema has to do."""
    made = card(folder)
    (folder / "cards.py").unlink()
    sys.modules.pop("cards")
    assert len(fingerprint(made)) == 16


def running(path: str, mark: str) -> Running:
    """A job with one recipe of that output."""
    return Running("gpt-4o", 1.0, (OutputClass("cards", path, mark),))


def test_jobs_that_fit_are_taken(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Those without classes, and those whose class is here as it was there; of these nothing is said."""
    jobs = {"plain": Running("gpt-4o", 1.0), "same": running("cards:Card", fingerprint(card(folder)))}
    fitting = Fitting()
    assert fitting.of(jobs) == jobs
    assert (fitting.refused, caplog.records) == ({}, [])


@pytest.mark.parametrize("path", ["cards:Card", "cards:Gone", "gone:Card", "os:Card"])
def test_jobs_that_do_not_fit_are_told_once(folder: Path, caplog: pytest.LogCaptureFixture, path: str) -> None:
    """Of another version, not there, or not to be imported: one line names job, recipe and class."""
    caplog.set_level(logging.WARNING)
    card(folder)
    fitting = Fitting()
    for _ in range(3):
        assert fitting.of({"cards-1": running(path, "0" * 16), "plain": Running("gpt-4o", 1.0)}).keys() == {"plain"}
    (line,) = [record.getMessage() for record in caplog.records]
    assert all(word in line for word in ("cards-1", "cards", path.partition(":")[0]))
    assert fitting.refused.keys() == {"cards-1"}
    assert "\n" not in fitting.refused["cards-1"]


def test_a_job_submitted_anew_is_told_anew(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A class that changed once more is another reason; the job that fits then is taken."""
    caplog.set_level(logging.WARNING)
    fitting, good = Fitting(), fingerprint(card(folder))
    for mark in ("0" * 16, "1" * 16):
        assert fitting.of({"cards-1": running("cards:Card", mark)}) == {}
    assert len(caplog.records) == 2
    assert fitting.of({"cards-1": running("cards:Card", good)}).keys() == {"cards-1"}
    assert fitting.refused == {}
