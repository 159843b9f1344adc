"""Values of a JSON body that nobody has checked: each is of its type and within reason, or as if it were not there."""

from __future__ import annotations

from typing import Any

_MOST = 1e9  # of tokens or seconds: what is above is no number to count with
MOST_USD = 1e6
"""What a call may cost: Lua counts nano-dollars exactly up to nine times as much."""


def table(value: Any) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str | None:
    """A string that UTF-8 can hold: of a surrogate pair that a model cut in half, the half becomes a question mark."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def number(value: Any, most: float = _MOST) -> float | None:
    """A number that can be an amount: neither negative nor beyond reason."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most else None


def count(value: Any) -> int:
    """A number of tokens; 0 where there is none."""
    return int(number(value) or 0)


def header_number(value: str | None) -> float | None:
    """The number in a header."""
    try:
        return None if value is None else number(float(value))
    except ValueError:
        return None
