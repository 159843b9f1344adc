"""The ledger's Lua scripts: each does in one step what must not be done by halves."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

Name = Literal["admit", "settle", "reap", "set_state", "set_weight", "beat", "reopen", "claim", "trim"]

_PARTS: dict[Name, tuple[str, ...]] = {
    "admit": ("common", "admit"),
    "settle": ("common", "means", "refusals", "settle"),
    "reap": ("common", "reap"),
    "claim": ("collectable", "claim"),
    "trim": ("collectable", "trim"),
}


@cache
def script_text(name: Name) -> str:
    """The text of a script, with the parts that it is made of."""
    parts = _PARTS.get(name, (name,))
    return "\n".join(Path(__file__).with_name(f"{part}.lua").read_text("utf-8") for part in parts)
