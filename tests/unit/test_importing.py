"""Only modules that this machine's owner has allowed are imported for a recipe, whatever a job names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import importing
from config.errors import RecipeError
from config.importing import importable_folders, importable_from, output_class
from config.settings import settings
from workers.orphan import environment, find_classes

RAN = "ran"
TRAP = f'from pathlib import Path\nfrom pydantic import BaseModel\nPath(__file__).with_name("{RAN}").touch()\n'
CLASS = "class Card(BaseModel):\n    text: str\n"


@pytest.fixture
def folders(clean: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No folder is allowed yet, and none stays so."""
    clean.setattr(importing, "_folders", [])
    clean.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield clean
    for name in set(sys.modules) - before:
        del sys.modules[name]


def trap(folder: Path, name: str) -> Path:
    """A module that leaves a file behind when it is run, and where that would be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(TRAP + CLASS)
    return folder / RAN


def refused(path: str) -> str:
    """What is said of an output class that is not taken."""
    with pytest.raises(RecipeError) as caught:
        output_class(path, "cards")
    (problem,) = caught.value.problems
    return problem


def test_a_module_elsewhere_is_not_run(folders: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A module that Python would find, but that stands in no folder of recipes, is refused before it is run."""
    ran = trap(tmp_path / "elsewhere", "module_elsewhere")
    folders.syspath_prepend(str(tmp_path / "elsewhere"))
    assert "may not be imported here" in refused("module_elsewhere:Card")
    assert not ran.exists()


@pytest.mark.parametrize(
    "name", ["os", "subprocess", "antigravity", "pip", "workers.app", "config.settings", "__main__"]
)
def test_what_is_installed_is_no_output(folders: pytest.MonkeyPatch, name: str) -> None:
    """Neither Python's own modules nor installed ones nor ours are imported because a job names them."""
    before = set(sys.modules)
    assert "may not be imported here" in refused(f"{name}:BaseModel")
    assert set(sys.modules) - before <= {"encodings.idna"}


def test_a_module_beside_the_recipes_is_taken(folders: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the machine's owner has put into a folder of recipes is imported, a module or a package."""
    ran = trap(tmp_path / "recipes", "module_beside")
    trap(tmp_path / "recipes/package_beside", "cards")
    (tmp_path / "recipes/package_beside/__init__.py").touch()
    importable_from(tmp_path / "recipes")
    assert output_class("module_beside:Card", "cards").__name__ == "Card"
    assert output_class("package_beside.cards:Card", "cards").__name__ == "Card"
    assert ran.exists()


def test_a_file_beside_the_recipes_hides_no_module(folders: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file with the name of one of Python's modules takes the place of none."""
    ran = trap(tmp_path / "recipes", "json")
    importable_from(tmp_path / "recipes")
    assert "may not be imported here" in refused("json:Card")
    assert not ran.exists()


def test_the_list_is_all_there_is(folders: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With GENFLEET_OUTPUT_MODULES only the modules it names are imported, and the built-in ones."""
    allowed, other = trap(tmp_path / "recipes/listed", "cards"), trap(tmp_path / "recipes", "module_not_listed")
    (tmp_path / "recipes/listed/__init__.py").touch()
    importable_from(tmp_path / "recipes")
    folders.setenv("GENFLEET_OUTPUT_MODULES", "listed.cards, more")
    settings.cache_clear()
    assert "may not be imported here" in refused("module_not_listed:Card")
    assert "may not be imported here" in refused("listed:Card")
    assert not other.exists()
    assert output_class("listed.cards:Card", "cards").__name__ == "Card"
    assert allowed.exists()
    assert output_class("config.recipes.schemas:Quiz", "quiz").__name__ == "Quiz"


@pytest.mark.parametrize("path", ["", ":", "x", ".x:Y", "x.:Y", "a b:C", "x;y:Z", "../x:Y", "x\0:Y", "è/x:Y", ":Card"])
def test_what_is_no_name(folders: pytest.MonkeyPatch, path: str) -> None:
    """What is no dotted name is refused with one sentence."""
    assert refused(path).startswith("output: ")


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_a_class_or_a_sentence(module: str, name: str) -> None:
    """Whatever stands in the place of a class, there is a sentence and nothing is imported."""
    before = set(sys.modules)
    assert refused(f"{module}:{name}").startswith("output: ")
    assert set(sys.modules) == before


def test_only_pydantic_classes_are_taken(folders: pytest.MonkeyPatch) -> None:
    """A name in an allowed module that is no pydantic class is refused."""
    assert refused("config.recipes.schemas.base:Any").startswith("output: ")


def test_children_take_the_same_folders(folders: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker that this process starts takes classes from the same folders, behind all else that it imports from."""
    importable_from(tmp_path)
    assert "PYTHONPATH" not in environment() or str(tmp_path) not in environment()["PYTHONPATH"]
    given = environment()["GENFLEET_CLASS_FOLDERS"]
    folders.setattr(importing, "_folders", [])
    folders.setattr(sys, "path", [one for one in sys.path if one != str(tmp_path)])
    folders.setenv("GENFLEET_CLASS_FOLDERS", given)
    find_classes()
    assert importable_folders() == [str(tmp_path)]
    assert sys.path[-1] == str(tmp_path)
