"""Commands that are imported when they are asked for: what one of them needs costs the others nothing."""

from __future__ import annotations

import ast
import importlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from console import commands
from console.commands import COMMANDS


class LazyGroup(TyperGroup):
    """The commands of `console.commands.COMMANDS`; help for all of them is read from their source."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, its module imported; None where there is none.

        Raises:
            UserError: a models file cannot be used; each model has its task, so it shows before any command runs.
        """
        if cmd_name in COMMANDS:
            self.commands.update(_registered(COMMANDS[cmd_name][0]))
        else:
            # A name like it may be meant, which is looked for among these.
            self.commands.update({name: self.commands.get(name, TyperCommand(name)) for name in COMMANDS})
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """As of any group, but no module is imported for it."""
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl([(name, _shortened(summary(name), limit)) for name in COMMANDS])


def _registered(module: str) -> dict[str, Any]:
    one = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    importlib.import_module(f"console.commands.{module}").register(one)
    return dict(get_group(one).commands)


def summary(name: str) -> str:
    """The first paragraph of a command's docstring, as one line."""
    module, function = COMMANDS[name]
    text = _docstrings(module)[function]
    return " ".join(text.partition("\n\n")[0].split())


@lru_cache
def _docstrings(module: str) -> dict[str, str]:
    tree = ast.parse(Path(*commands.__path__, f"{module}.py").read_bytes())
    return {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)}


def _shortened(text: str, limit: int) -> str:
    """The first sentence, without its full stop where it all fits, as click shortens the help of a command."""
    return TyperCommand(None, help=text).get_short_help_str(limit)
