"""Templates: Jinja2 in its sandbox, strict about names, and bounded in what they may make.

A recipe may come from whoever reaches the broker, and a worker renders it beside other calls: a template that loops for
ever, or asks for a text of gigabytes, must be refused within a moment.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from config import template_bounds as bounds


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
        self.filters = {name: bounds.bounded(name, do) for name, do in self.filters.items()}
        del self.globals["lipsum"]

    def _generate(self, source: nodes.Template, *given: Any, **named: Any) -> str:
        counted: str = super()._generate(_Counted().visit(source), *given, **named)
        return counted

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """As the sandbox's, where the result is bounded."""
        bounds.check_operation(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *given: Any, **named: Any) -> Any:  # noqa: N805  names of arguments are the template's
        """As the sandbox's, where the call is bounded."""
        if __obj in (__self.printed, __self.joined, __self.turn):
            return __obj(*given)
        whose = getattr(__obj, "__self__", getattr(getattr(__obj, "__wrapped__", None), "__self__", None))
        if isinstance(whose, str | bytes | int | float):
            bounds.check_call(getattr(__obj, "__name__", ""), whose, given, named)
        made = super().call(__context, __obj, *given, **named)
        bounds.called(made)
        return made

    def turn(self) -> None:
        """A loop or a macro begins its body."""
        bounds.turn()

    def printed(self, value: Any) -> Any:
        """The value, which is a part of the text."""
        bounds.put(value)
        return value

    def joined(self, *values: Any) -> str:
        """The values as one text."""
        bounds.put(*values)
        return "".join(map(str, values))


class _Bounded(Template):
    def render(self, *given: Any, **named: Any) -> str:
        """As Jinja's; raises SecurityError where the template makes too much."""
        bounds.begin()
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
