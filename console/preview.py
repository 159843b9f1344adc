"""An example as people read it: a few short lines instead of its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from rich.text import Text

_MOST_LINES = 4
_LABEL = 11


def preview(recipe: str, output: dict[str, Any], width: int) -> Text:
    """The recipe's name and the first fields of an output, or turns of its conversation, each cut to `width` cells."""
    lines = [Text(recipe, "bold")]
    for name, value in islice(_fields(output), _MOST_LINES):
        line = Text.assemble("  ", (f"{name:<{_LABEL}}  ", "dim"), value)
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return Text("\n").join(lines)


def _fields(output: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in output.items():
        turns = value if isinstance(value, list) else []
        if turns and all(isinstance(turn, dict) and "role" in turn for turn in turns):
            yield from ((turn["role"], _plain(turn.get("content") or turn.get("tool_calls"))) for turn in turns)
        else:
            yield name, _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = " · ".join(value)
    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
