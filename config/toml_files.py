"""TOML files: read with their problems in one sentence, and laid over one another."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from config.errors import UserError


def read_toml(path: Path, error: type[UserError]) -> dict[str, Any]:
    """A TOML file as a dictionary.

    Raises:
        UserError: of the class `error`, where the file is missing, not UTF-8 or not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise error(f"{path}: no such file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise error(f"{path}: not a TOML file: {problem}.") from None
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}.") from None


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above` in place of its own, table by table."""
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
