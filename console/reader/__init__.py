"""Examples as people read them: an output taken apart into blocks by its shape, and these as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from console.reader import blocks
from console.reader.blocks import Block
from console.reader.page import STYLE, as_html
from console.reader.plain import plain
from console.reader.shapes import choices, formula, gaps, quotations, worked
from console.reader.turns import conversation, is_talk, turns

__all__ = ["STYLE", "Block", "as_html", "blocks", "readable"]

_SHAPES = (conversation, gaps, choices, quotations, formula, worked)


def readable(output: dict[str, Any], messages: Sequence[dict[str, Any]] | None = None) -> list[Block]:
    """An accepted example as blocks, in the order of its fields.

    What has no known shape stands under its fields' names. Where that is the whole output and there is a
    conversation, it is told as that, with the fields that the conversation leaves out below it.

    Args:
        output: the example's `output`, any JSON object.
        messages: its `messages`, the training conversation, if its recipe makes one.
    """
    shown: dict[str, list[Block]] = {}
    for shape in _SHAPES:
        shown |= shape({name: value for name, value in output.items() if name not in shown})
    told = list(messages or ())
    if not shown and is_talk(told):
        said: list[Block] = list(turns(told))
        words = "\n".join(turn.text for turn in said if isinstance(turn, blocks.Turn))
        left = {
            name: value for name, value in output.items() if not (isinstance(value, str) and value.strip() in words)
        }
        return said + [block for name, value in left.items() for block in plain(name, value)]
    return [block for name, value in output.items() for block in (shown[name] if name in shown else plain(name, value))]
