"""Fields under their names, for what has no shape of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from console.reader.blocks import Block, Code, Fact, Heading, Items, Passage, Rows

_TITLES = ("title", "titolo", "heading", "headline")
_LEADS = ("question", "domanda", "problem", "problema", "instruction", "istruzione", "prompt", "task", "esercizio")
_IN_ORDER = ("steps", "passaggi", "passi", "fasi", "procedure", "reasoning", "ragionamento")
_SHORT = 60  # characters: what fits beside its name
_MOST_COLUMNS = 6


def label(name: str) -> str:
    """A field's name as people read it."""
    return name.replace("_", " ").strip()


def plain(name: str, value: Any) -> list[Block]:
    """A field of any value."""
    if isinstance(value, str):
        return [_of_text(name, value)]
    if isinstance(value, dict) and value and all(map(_is_scalar, value.values())):
        return [Rows(label(name), (), tuple((label(key), scalar(one)) for key, one in value.items()))]
    if isinstance(value, list) and value:
        if all(map(_is_scalar, value)):
            items = tuple(scalar(one) for one in value)
            short = all(len(item) <= _SHORT for item in items) and name not in _IN_ORDER
            return [Items(label(name), items, name in _IN_ORDER, short)]
        if rows := _table(value):
            return [Rows(label(name), *rows)]
    if _is_scalar(value) or not value:
        return [Fact(label(name), scalar(value) if _is_scalar(value) else "none")]
    return [Code(label(name), as_json(value))]


def _of_text(name: str, text: str) -> Block:
    if name.lower() in _TITLES:
        return Heading(text)
    if name.lower() in _LEADS:
        return Passage(text, label(name), lead=True)
    short = len(text) <= _SHORT and "\n" not in text
    return Fact(label(name), text or "-") if short else Passage(text, label(name))


def scalar(value: Any) -> str:
    """A text, a number, a truth value or nothing, in words."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else as_json(value)


def as_json(value: Any) -> str:
    """A value as JSON, a line for each of its parts."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=2)
    except RecursionError:
        return "(nested too deeply to be shown)"


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _table(values: list[Any]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] | None:
    """Columns and rows of a list of objects that have few fields and nothing nested."""
    if not all(isinstance(one, dict) and one and all(map(_is_scalar, one.values())) for one in values):
        return None
    columns = list(dict.fromkeys(key for one in values for key in one))
    if len(columns) > _MOST_COLUMNS:
        return None
    cell: Callable[[dict[str, Any], str], str] = lambda one, key: scalar(one[key]) if key in one else ""  # noqa: E731
    return tuple(map(label, columns)), tuple(tuple(cell(one, key) for key in columns) for one in values)
