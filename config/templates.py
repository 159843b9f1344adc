"""Templates: Jinja2 in its sandbox, strict about names, and bounded in what they may make.

A recipe may come from whoever reaches the broker, and a worker renders it beside other calls: a template that loops for
ever, or asks for a text of gigabytes, must be refused within a moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import Any

from jinja2 import StrictUndefined, Template, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

#: What a template may make in all, in characters; each turn of a loop and each call counts as some.
_MOST = 64 * 2**20
_TURN = 500
#: No width, precision or repetition in a call needs more.
_MOST_NUMBER = 10_000
_MOST_BITS = 10_000
_WIDE = re.compile(r"\d{5,}")

_made: ContextVar[int] = ContextVar("made", default=0)


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


def _check_call(name: str, text: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
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


def _bounded(name: str, do: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(do)
    def filtered(*given: Any, **named: Any) -> Any:
        # Some filters are given the environment, or what they are evaluated in, first.
        first = 1 if hasattr(do, "jinja_pass_arg") else 0
        value, more = given[first], given[first + 1 :]
        if name == "join":
            value, more = str(more[0]) if more else str(named.get("d", "")), (list(value),)
            given = (*given[:first], more[0], *given[first + 1 :])
        _check_call(name, value, more, named if name != "join" else {})
        made = do(*given, **named)
        _take(_size(made) + _TURN)
        return made

    return filtered


class _Counted(NodeTransformer):
    """Makes turns of loops, what is printed and what is joined count."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  Jinja's name
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("turn", [], node.lineno), lineno=node.lineno))
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802  Jinja's name
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("turn", [], node.lineno), lineno=node.lineno))
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802  Jinja's name
        self.generic_visit(node)
        node.nodes = [
            one if isinstance(one, nodes.TemplateData) else _call("printed", [one], node.lineno) for one in node.nodes
        ]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  Jinja's name
        self.generic_visit(node)
        return _call("joined", list(node.nodes), node.lineno)


def _call(name: str, given: list[nodes.Expr], line: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name, lineno=line), given, [], None, None, lineno=line)


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=False, autoescape=False, optimized=False)
        self.filters = {name: _bounded(name, do) for name, do in self.filters.items()}
        del self.globals["lipsum"]

    def _generate(self, source: nodes.Template, *given: Any, **named: Any) -> str:
        counted: str = super()._generate(_Counted().visit(source), *given, **named)
        return counted

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """As the sandbox's, where the result is bounded."""
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
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *given: Any, **named: Any) -> Any:  # noqa: N805  names of arguments are the template's
        """As the sandbox's, where the call is bounded."""
        if __obj in (__self.printed, __self.joined, __self.turn):
            return __obj(*given)
        whose = getattr(__obj, "__self__", getattr(getattr(__obj, "__wrapped__", None), "__self__", None))
        if isinstance(whose, str | bytes | int | float):
            _check_call(getattr(__obj, "__name__", ""), whose, given, named)
        made = super().call(__context, __obj, *given, **named)
        _take(_size(made) + _TURN)
        return made

    def turn(self) -> None:
        """A loop or a macro begins its body."""
        _take(_TURN)

    def printed(self, value: Any) -> Any:
        """The value, which is a part of the text."""
        _take(_size(value))
        return value

    def joined(self, *values: Any) -> str:
        """The values as one text."""
        _take(sum(map(_size, values)))
        return "".join(map(str, values))


class _Bounded(Template):
    def render(self, *given: Any, **named: Any) -> str:
        """As Jinja's; raises SecurityError where the template makes too much."""
        _made.set(0)
        return super().render(*given, **named)


_jinja = _Environment()
_jinja.template_class = _Bounded


@lru_cache(maxsize=256)
def template(text: str) -> Template:
    """The compiled template. Raises jinja2.TemplateError."""
    return _jinja.from_string(text)


def names_in(text: str) -> set[str]:
    """The names that a template uses. Raises jinja2.TemplateError."""
    return set(meta.find_undeclared_variables(_jinja.parse(text)))


def names_needed(text: str) -> set[str]:
    """The names a template cannot do without: those it uses and does not guard with `is defined`."""
    return names_in(text) - set(re.findall(r"\b(\w+)\s+is\s+defined\b", text))
