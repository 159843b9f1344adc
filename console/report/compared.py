"""Two texts side by side: which words are only in one of them."""

from __future__ import annotations

from difflib import SequenceMatcher

Pieces = list[tuple[str, bool]]


def compared(first: str, second: str) -> tuple[Pieces, Pieces]:
    """Both texts as (words, whether they are only in this one)."""
    ours, theirs = first.split(), second.split()
    pieces: tuple[Pieces, Pieces] = ([], [])
    for tag, i, j, k, m in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        for found, words in zip(pieces, (ours[i:j], theirs[k:m]), strict=True):
            if words:
                found.append((" ".join(words), tag != "equal"))
    return pieces
