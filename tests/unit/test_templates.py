"""Templates are texts, or an error within a moment: none reaches behind its values, or makes more than it may."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from config.templates import template

BOMBS = [
    "{{ '%0999999999d' % 1 }}",
    "{{ '%*d' % (999999999, 1) }}",
    "{{ '%*d'|format(999999999, 1) }}",
    "{{ '{:>999999999}'.format(1) }}",
    "{{ '{:>{w}}'.format(1, w=999999999) }}",
    "{{ 'x'.center(999999999) }}",
    "{{ 'x'|center(999999999) }}",
    "{{ 'x'|indent(999999999, true) }}",
    "{{ ['x']|batch(9**9)|list }}",
    "{{ [1]|tojson(indent=999999999) }}",
    "{{ 1.5|round(999999999, 'ceil') }}",
    "{{ (1).to_bytes(999999999, 'big') }}",
    "{{ 10**999999999 }}",
    "{{ 'x' * 10**10 }}",
    "{{ ['x'] * 10**10 }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% set a = 'x' %}" + "{% set a = a ~ a %}" * 40,
    "{% set a = 'x' %}" + "{% set a = a + a %}" * 40,
    "{% set a = ['x'] %}" + "{% set a = a + a %}" * 40,
    "{% set a %}x{% endset %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40,
    "{% set a = 'x' * 9999 %}{{ a.replace('x', a).replace('x', a) }}",
    "{% set a = 'x' * 9999 %}{{ a|replace('x', a) }}",
    "{% set a = 'x' * 9999 %}{{ a.join(a) }}",
    "{% set a = 'x' * 9999 %}{{ a|join(a) }}",
    "{% set a = 'x ' * 99999 %}{{ a|wordwrap(1, wrapstring=a) }}",
    "{% set a = '\\n' * 9999 %}{{ a|indent(9999, blank=true) }}",
    "{% set a = '\\t' * 9999999 %}{{ a.expandtabs(9999) }}",
]


@pytest.mark.parametrize("text", BOMBS)
def test_what_makes_too_much_is_refused(text: str) -> None:
    """Widths, powers, repetitions, loops and texts that double end in an error before they fill the memory."""
    with pytest.raises(SecurityError):
        template(text).render()


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}{{ ''.__class__.__mro__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ x|attr('__class__') }}{{ x.__class__.__init__ }}",
        "{% set _ = items.append(1) %}",
    ],
)
def test_what_reaches_behind_its_values_is_refused(text: str) -> None:
    """Neither Python's insides nor a change of what a template is given."""
    with pytest.raises((SecurityError, UndefinedError)):
        template(text).render(x="a", items=[1])


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{{ 'a' ~ n ~ 'b' }} {{ n + 4 }} {{ 2 ** 8 }} {{ 2 * n }} {{ [1] + [2] }}", "a3b 7 256 6 [1, 2]"),
        ("{{ '%s-%d' % ('a', 3) }} {{ '{:>3}'.format(3) }} {{ '%.2f'|format(3.14159) }}", "a-3   3 3.14"),
        ("{% for x in names %}{{ loop.index }}{{ x }}{{ ', ' if not loop.last }}{% endfor %}", "1è, 2b"),
        ("{{ names|join('+') }} {{ '+'.join(names) }} {{ [{'a': 1}]|map(attribute='a')|join }}", "è+b è+b 1"),
        ("{{ 'abc'|replace('b', 'X') }} {{ 'abc'.replace('b', '') }} {{ 'x'.center(3) }}|", "aXc ac  x |"),
        (
            "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m('a') }} {{ {'è': 1}|tojson }}",
            '<1><a> {"\\u00e8": 1}',
        ),
        (
            "{{ 'aa bb'|wordwrap(2) }}|{{ 'a\nb'|indent(2) }}|{{ [1, 2, 3]|batch(2)|list }}",
            "aa\nbb|a\n  b|[[1, 2], [3]]",
        ),
    ],
)
def test_what_recipes_do(text: str, made: str) -> None:
    """Joining, loops, macros, formats and filters give what they give in Jinja."""
    assert template(text).render(n=3, names=["è", "b"]) == made


def test_a_long_row_is_printed() -> None:
    """A row of sixteen million characters, the longest there is, is a text like any other."""
    row = "è" * 2**24
    assert template("{{ row }}.").render(row=row) == f"{row}."
