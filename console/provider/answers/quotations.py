"""Quotations out of a passage, for answers that must rest on it."""

from __future__ import annotations

import random
import re

_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+")
_FEWEST_WORDS, _MOST_WORDS, _FEWEST_CHARACTERS = 4, 26, 10


def quotations(passage: str, wanted: int, rng: random.Random) -> list[str]:
    """Up to `wanted` different pieces of the passage, word for word, in its order; [] where it has too few words."""
    pieces: dict[str, str] = {}
    for sentence in _SENTENCE_END.split(passage):
        words = sentence.split()
        if len(words) < _FEWEST_WORDS or len(sentence) < _FEWEST_CHARACTERS:
            continue
        start = 0 if len(words) <= _MOST_WORDS else rng.randint(0, len(words) - _MOST_WORDS)
        piece = " ".join(words[start : start + _MOST_WORDS])
        pieces.setdefault("".join(piece.lower().split()).rstrip(".;"), piece)
    if not pieces and len(passage.split()) >= _FEWEST_WORDS:
        pieces[""] = " ".join(passage.split()[:_MOST_WORDS])
    found = list(pieces.values())
    chosen = sorted(rng.sample(range(len(found)), min(wanted, len(found))))
    return [found[place] for place in chosen]


def keyword(quotation: str, rng: random.Random) -> str:
    """A word of the quotation that it could be about: a name if it has one, else a long word."""
    words: list[str] = re.findall(r"[^\W\d_]{5,}", quotation)
    names = [word for word in words[1:] if word[0].isupper()]
    longest = sorted(words, key=len, reverse=True)[:3]
    return rng.choice(names or longest or ["questo argomento"])
