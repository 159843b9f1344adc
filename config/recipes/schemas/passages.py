"""Quotations from a row's passage."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import ValidationInfo

from config.recipes.schemas.base import repeated, shown, spaced

FEWEST_WORDS = 4

# Models write the apostrophes, quotation marks and dashes of their own habit. One character stands for one, so
# that a place found in the plain text is the same place in the passage.
_PLAIN = str.maketrans("’‘ʼ`´“”„«»–—−\u00a0", "'''''\"\"\"\"\"--- ")


def passage(info: ValidationInfo) -> str:
    """The row's passage, spaced evenly. Raises ValueError where the variables hold none."""
    found = (info.context or {}).get("variables", {}).get("passage")
    if not isinstance(found, str) or not found.strip():
        raise ValueError("the variables hold no passage, so its quotations cannot be checked.")
    return spaced(found)


def quoted(quote: str, source: str) -> str:
    """The quotation in the source's own characters.

    White space and the style of apostrophes, quotation marks and dashes may differ; nothing else may.

    Args:
        quote: what the answer says stands in the source.
        source: the passage, spaced evenly.

    Raises:
        ValueError: the quotation is shorter than a few words, or is not in the source as whole words.
    """
    plain = spaced(quote).translate(_PLAIN)
    if len(plain.split()) < FEWEST_WORDS:
        raise ValueError(f"the quotation {shown(quote)} has fewer than {FEWEST_WORDS} words.")
    whole_words = rf"(?<!\w){re.escape(plain)}(?!\w)"
    found = re.search(whole_words, source.translate(_PLAIN))
    if found is None:
        raise ValueError(f"the quotation {shown(quote)} is not in the passage word for word.")
    return source[found.start() : found.end()]


def all_quoted(quotes: Sequence[str], source: str) -> list[str]:
    """Each quotation in the source's own characters. Raises ValueError as `quoted`, and for one that comes twice."""
    if twice := repeated(quotes):
        raise ValueError(f"the quotation {shown(twice)} is given twice.")
    return [quoted(quote, source) for quote in quotes]
