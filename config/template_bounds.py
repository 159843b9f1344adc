"""What a template may make: its texts, turns of its loops and calls count, and numbers that are too large are refused.

All functions here raise jinja2's SecurityError where a bound is passed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from typing import Any

from jinja2.exceptions import SecurityError

#: What a template may make in all, in characters; each turn of a loop and each call counts as some.
_MOST = 64 * 2**20
_TURN = 500
#: No width, precision or repetition in a call needs more.
_MOST_NUMBER = 10_000
_MOST_BITS = 10_000
_WIDE = re.compile(r"\d{5,}")

_made: ContextVar[int] = ContextVar("made", default=0)


def begin() -> None:
    """A template begins: nothing is made yet."""
    _made.set(0)


def turn() -> None:
    """A loop or a macro begins its body."""
    _take(_TURN)


def put(*values: Any) -> None:
    """These values go into a text."""
    _take(sum(map(_size, values)))


def called(made: Any) -> None:
    """A call has made this."""
    _take(_size(made) + _TURN)


def _take(amount: int) -> None:
    made = _made.get() + amount
    if made > _MOST:
        raise SecurityError("it makes too much text, or loops too often")
    _made.set(made)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple | dict) else 0


def _check_numbers(values: Any) -> None:
    if any(isinstance(value, int) and abs(value) > _MOST_NUMBER for value in values):
        raise SecurityError(f"a number in a call is above {_MOST_NUMBER:,}")


def _check_format(text: Any, values: Any) -> None:
    """A width may stand in the text, or come with the values."""
    if isinstance(text, str | bytes):
        shown = text.decode("latin-1") if isinstance(text, bytes) else text
        given = values.values() if isinstance(values, Mapping) else values if isinstance(values, tuple) else (values,)
        if _WIDE.search(shown):
            raise SecurityError(f"a width is above {_MOST_NUMBER:,}")
        if "*" in shown or "{" in shown:
            _check_numbers(given)
        _take(sum(map(_size, given)) * max(1, shown.count("%") + shown.count("{")))


#: What multiplies texts: by name, the most characters that it may make of a text and its arguments.
_GROWTH: dict[str, Callable[..., int]] = {
    "replace": lambda text, old="", new="", *_: (text.count(old) if old else len(text) + 1) * len(new),
    "join": lambda text, *given: sum(len(text) + len(str(one)) for of in given for one in of),
    "expandtabs": lambda text, size=8, *_: text.count("\t") * size,
    "indent": lambda text, width=4, *_: (text.count("\n") + 1) * (width if isinstance(width, int) else len(width)),
    "wordwrap": lambda text, *given: len(text) * max(1, *(len(one) for one in given if isinstance(one, str)), 1),
}


def check_operation(operator: str, left: Any, right: Any) -> None:
    """What an operator may make of two values; `%` formats, where a text is on its left."""
    numbers = isinstance(left, int) and isinstance(right, int)
    if operator == "%" and isinstance(left, str | bytes):
        _check_format(left, right)
    elif operator == "**" and numbers and left.bit_length() * right > _MOST_BITS:
        raise SecurityError("a power is too large")
    elif operator == "*":
        if numbers and left.bit_length() + right.bit_length() > _MOST_BITS:
            raise SecurityError("a product is too large")
        _take(
            max(
                _size(left) * right if isinstance(right, int) else 0,
                _size(right) * left if isinstance(left, int) else 0,
                0,
            )
        )
    else:
        _take(_size(left) + _size(right))


def check_call(name: str, text: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """What a method or filter of this name may make of a text, or of another value, and its arguments."""
    values = (*given, *named.values())
    _check_numbers(values)
    if name in ("format", "format_map"):
        _check_format(text, values)
    elif isinstance(text, str) and name in _GROWTH:
        try:
            grown = _GROWTH[name](text, *values)
        except TypeError:
            return  # the call itself says so
        _take(grown)


def bounded(name: str, do: Callable[..., Any]) -> Callable[..., Any]:
    """The filter of this name, where what it makes counts."""

    @wraps(do)
    def filtered(*given: Any, **named: Any) -> Any:
        # Some filters are given the environment, or what they are evaluated in, first.
        first = 1 if hasattr(do, "jinja_pass_arg") else 0
        value, more = given[first], given[first + 1 :]
        if name == "join":
            value, more = str(more[0]) if more else str(named.get("d", "")), (list(value),)
            given = (*given[:first], more[0], *given[first + 1 :])
        check_call(name, value, more, named if name != "join" else {})
        made = do(*given, **named)
        called(made)
        return made

    return filtered
