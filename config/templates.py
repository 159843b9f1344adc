"""Templates: Jinja2 in its sandbox, strict about names."""

from __future__ import annotations

import re
from functools import lru_cache

from jinja2 import StrictUndefined, Template, meta
from jinja2.sandbox import SandboxedEnvironment

_jinja = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False, autoescape=False)


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
