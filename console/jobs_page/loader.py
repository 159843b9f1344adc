"""Flower's templates with our tab in its navigation, and our pages beside its own."""

from __future__ import annotations

import re
from pathlib import Path

from tornado.template import Loader, Template

from config.logs import log

TEMPLATES = Path(__file__).parents[1] / "templates" / "flower"
_NAVBAR, _TAB = "navbar.html", "tab.html"
_TASKS, _MORE = "tasks.html", "tasks_more.html"
#: Where the list of Flower's own tabs begins.
_LIST = re.compile(r'<ul class="[^"]*\bnavbar-nav\b[^"]*">')


class PagesLoader(Loader):
    """Loads our templates by their names, all others from Flower's folder.

    Its navigation is given one more tab, its list of tasks heads above their columns.
    """

    def _create_template(self, name: str) -> Template:
        ours = TEMPLATES / name
        if ours.is_file():
            return Template(ours.read_text("utf-8"), name=name, loader=self)
        if name not in (_NAVBAR, _TASKS):
            return super()._create_template(name)
        text = (Path(self.root) / name).read_text("utf-8")
        if name == _TASKS:
            text += (TEMPLATES / _MORE).read_text("utf-8")
        else:
            text = with_tab(text, (TEMPLATES / _TAB).read_text("utf-8"))
        return Template(text, name=name, loader=self)


def with_tab(navbar: str, tab: str) -> str:
    """Flower's navigation with `tab` before its first own one; as it is where that place is not to be found."""
    place = _LIST.search(navbar)
    if place is None:
        log("tab_missing")
        return navbar
    return f"{navbar[: place.end()]}\n{tab}{navbar[place.end() :]}"
