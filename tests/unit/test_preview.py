"""What people see of an example: few lines, none longer than the terminal is wide."""

from __future__ import annotations

from console.preview import preview


def test_fields_are_lines_and_lists_are_joined() -> None:
    """Every field is one line under the recipe's name, whatever line breaks its text has."""
    shown = preview("quiz", {"question": "Quanto fa\n2 + 2?", "options": ["3", "4"]}, 80).plain
    assert shown.split("\n") == ["quiz", "  question     Quanto fa 2 + 2?", "  options      3 · 4"]


def test_a_conversation_is_shown_by_its_turns() -> None:
    """Turns stand under their roles; one without words shows the tools it calls."""
    turns = [
        {"role": "user", "content": "Che tempo fa?"},
        {"role": "assistant", "content": None, "tool_calls": [{"name": "meteo"}]},
    ]
    shown = preview("chat", {"messages": turns}, 80).plain
    assert shown.split("\n")[1:] == ["  user         Che tempo fa?", '  assistant    [{"name": "meteo"}]']


def test_long_examples_are_cut() -> None:
    """At most four lines follow the name, and a line that is too long ends in an ellipsis at the given width."""
    lines = preview("long", {f"field{k}": "parola " * 50 for k in range(9)}, 40).plain.split("\n")
    assert len(lines) == 5
    assert all(len(line) == 40 and line.endswith("…") for line in lines[1:])
