"""Blocks as HTML, for any page: its texts are escaped, its looks are in STYLE."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from console.reader.blocks import Block

_HERE = Path(__file__).parent

#: The looks of what `as_html` makes; the page around it may set --ink, --soft, --line, --tint, --good and --accent.
STYLE = (_HERE / "reader.css").read_text("utf-8")


def as_html(blocks: Iterable[Block]) -> Markup:
    """The blocks as one element of class "example"."""
    macros = _macros()
    inside = Markup("").join(getattr(macros, type(block).__name__.lower())(block) for block in blocks)
    return Markup('<div class="example">{}</div>').format(inside)


@cache
def _macros() -> Any:
    jinja = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return jinja.get_template("blocks.html").module
