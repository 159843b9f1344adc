"""Texts that match a regular expression."""

from __future__ import annotations

import importlib
import random
import re
import string
from collections.abc import Callable
from typing import Any

# The standard library's own reading of an expression, which has no public name.
_parser: Any = importlib.import_module("re._parser")
_PRINTABLE = string.ascii_letters + string.digits + " .,-_"
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_letters + string.digits + "_",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": string.ascii_letters,
    "CATEGORY_NOT_WORD": " .,-",
    "CATEGORY_NOT_SPACE": string.ascii_letters + string.digits,
}
_MORE = 4


def matching(pattern: str, rng: random.Random) -> str | None:
    """A text that the pattern matches, or None where that needs more than literals, sets, groups and repeats."""
    try:
        made = _sequence(_parser.parse(pattern), rng)
        return made if re.search(pattern, made) else None
    except (re.error, _Unsupported, RecursionError):
        return None


class _Unsupported(Exception):
    """The pattern holds something that is not drawn, such as a look-ahead."""


def _sequence(parsed: Any, rng: random.Random) -> str:
    return "".join(_one(str(kind), value, rng) for kind, value in parsed)


def _one(kind: str, value: Any, rng: random.Random) -> str:
    makers: dict[str, Callable[[], str]] = {
        "LITERAL": lambda: chr(value),
        "NOT_LITERAL": lambda: rng.choice([c for c in string.ascii_letters if ord(c) != value]),
        "ANY": lambda: rng.choice(string.ascii_letters),
        "IN": lambda: rng.choice(_set(value)),
        "MAX_REPEAT": lambda: _repeated(value, rng),
        "MIN_REPEAT": lambda: _repeated(value, rng),
        "SUBPATTERN": lambda: _sequence(value[-1], rng),
        "BRANCH": lambda: _sequence(rng.choice(value[1]), rng),
        "AT": lambda: "",
    }
    if kind not in makers:
        raise _Unsupported(kind)
    return makers[kind]()


def _repeated(value: Any, rng: random.Random) -> str:
    least, most, inner = value
    return "".join(_sequence(inner, rng) for _ in range(rng.randint(least, min(int(most), least + _MORE))))


def _set(members: Any) -> str:
    negated = str(members[0][0]) == "NEGATE"
    found = ""
    for kind, value in members[1:] if negated else members:
        match str(kind):
            case "LITERAL":
                found += chr(value)
            case "RANGE":
                found += "".join(map(chr, range(value[0], min(value[1], value[0] + 200) + 1)))
            case "CATEGORY":
                found += _CATEGORIES.get(str(value), "")
    characters = "".join(c for c in _PRINTABLE if c not in found) if negated else found
    if not characters:
        raise _Unsupported(str(members))
    return characters
