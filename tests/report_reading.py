"""A report as a program reads it: the figures that stand in it, its sections and its texts."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Report(HTMLParser):
    """The report in a file.

    Attributes:
        figures: name -> (the value that is meant, the text that is shown); of several of one name all must agree.
        sections: id -> the section's text.
        tags: every start tag with its attributes.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.figures: dict[str, tuple[str, str]] = {}
        self.sections: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._section = ""
        self._figure: tuple[str, str] | None = None
        self.feed(path.read_text("utf-8"))
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = str(found["id"])
            self.sections[self._section] = ""
        if tag == "data":
            self._figure = (str(found["data-figure"]), str(found["value"]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("style", "desc"):
            return
        if self._section:
            self.sections[self._section] += data
        if self._figure is not None:
            name, value = self._figure
            assert self.figures.setdefault(name, (value, data)) == (value, data), name
            self._figure = None

    def number(self, name: str) -> float:
        """A figure's value; its text, where it is a whole number, must say the same."""
        value, text = self.figures[name]
        if text.replace(",", "").isdigit():
            assert int(text.replace(",", "")) == int(float(value)), name
        return float(value)

    def shows(self, names: dict[str, Any]) -> None:
        """Fails unless each of these figures stands in the report with that value."""
        found = {name: self.number(name) for name in names}
        assert found == {name: float(value) for name, value in names.items()}
