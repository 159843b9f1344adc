"""What all outputs share: closed objects, lengths, counts, and the comparison of texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo


class Closed(BaseModel):
    """An object with the named fields and no others; white space around its texts is left out."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


def between(shortest: int, longest: int) -> AfterValidator:
    """Annotation for a text of that many characters, both ends included."""

    def check(text: str, info: ValidationInfo) -> str:
        if not shortest <= len(text) <= longest:
            raise ValueError(
                f"{info.field_name} {shown(text)} has {len(text)} characters, not {shortest} to {longest}."
            )
        return text

    return AfterValidator(check)


def count(fewest: int, most: int) -> AfterValidator:
    """Annotation for a list of that many entries, both ends included."""

    def check(entries: list[Any], info: ValidationInfo) -> list[Any]:
        if not fewest <= len(entries) <= most:
            raise ValueError(f"{info.field_name} has {len(entries)} entries, not {fewest} to {most}.")
        return entries

    return AfterValidator(check)


def shown(text: str) -> str:
    """A text as an error message shows it: quoted, on one line, cut at 60 characters."""
    line = spaced(text)
    return f'"{line if len(line) <= 60 else line[:59] + "…"}"'


def spaced(text: str) -> str:
    """The text with its letters composed and every run of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def folded(text: str) -> str:
    """The text as it counts for "the same answer": no case, no white space, no full stop at its end."""
    return "".join(spaced(text).casefold().split()).rstrip(".;")


def repeated(texts: Iterable[str]) -> str | None:
    """The first text that says the same as an earlier one, or None."""
    seen: set[str] = set()
    for text in texts:
        if (key := folded(text)) in seen:
            return text
        seen.add(key)
    return None
