"""Which output classes recipes may name, and where their modules come from.

A worker gets recipes with its jobs, so a recipe's module is a name that somebody has written into the broker, and to
import it runs code. Only what this machine's owner has put there is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

from pydantic import BaseModel

from config.errors import RecipeError
from config.settings import settings

BUILT_IN = "config.recipes.schemas"

_folders: list[str] = []


def importable_from(folder: Path) -> None:
    """Lets recipes name classes in modules of `folder`."""
    path = str(folder.resolve())
    if path not in _folders:
        _folders.append(path)
        # Last, so that no file in it can stand in for a module of Python or of ours.
        sys.path.append(path)


def importable_folders() -> list[str]:
    """The folders that recipes' classes are imported from, for processes that shall find them too."""
    return list(_folders)


def output_class(path: str, recipe: str) -> type[BaseModel]:
    """The pydantic class that a recipe names as `module:Class`. Raises RecipeError; a module not allowed is not run."""
    module, _, name = path.partition(":")
    if not _allowed(module) and _found(module.partition(".")[0]):
        raise RecipeError(
            recipe,
            [
                f'output: module "{module[:100]}" may not be imported here; it must stand beside the recipe, in the '
                "folder GENFLEET_RECIPES on a worker, or be named in GENFLEET_OUTPUT_MODULES where that is set."
            ],
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecipeError(
            recipe,
            [f'output: class "{path}" not found ({error}); write it as "module:Class", in a module beside the recipe.'],
        ) from None
    except Exception as error:  # the module is the recipe author's
        raise RecipeError(
            recipe, [f'output: module "{module}" cannot be imported: {type(error).__name__}: {error}.']
        ) from None
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise RecipeError(recipe, [f'output: "{path}" is not a pydantic class.'])
    return found


def _allowed(module: str) -> bool:
    if not all(part.isidentifier() for part in module.split(".")):
        return False
    listed = settings().output_modules
    if listed is None and _in_a_folder(module.partition(".")[0]):
        return True
    named = [BUILT_IN, *(listed or "").replace(" ", "").split(",")]
    return any(module == one or module.startswith(f"{one}.") for one in named if one)


def _in_a_folder(top: str) -> bool:
    """Whether a module that is no part of another comes from one of the folders; nothing is run to find out."""
    places = _found(top)
    return bool(places) and all(str(Path(place).resolve().parent) in _folders for place in places)


def _found(top: str) -> list[str]:
    """Where a module that is no part of another would come from; nothing where there is none of that name."""
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:
        return ["?"]  # such as __main__
    return [] if spec is None else list(spec.submodule_search_locations or ()) or [spec.origin or "?"]
