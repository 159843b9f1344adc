"""The table of commands: what is imported for them, and what help says without importing anything."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.main import get_command, get_group

from console import commands
from console.cli import app
from console.commands import COMMANDS
from console.lazy import summary


def test_every_command_is_in_the_table() -> None:
    """What the modules register, and no more, is what the table names."""
    found = set()
    for module in pkgutil.iter_modules(commands.__path__):
        one = typer.Typer()
        register = getattr(importlib.import_module(f"console.commands.{module.name}"), "register", None)
        if register is not None:
            register(one)
            found |= {(name, module.name) for name in get_group(one).commands}
    assert found == {(name, module) for name, (module, _) in COMMANDS.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    """What is read from the source is what the command's own help begins with."""
    group: Any = get_command(app)
    known = " ".join(group.get_command(None, name).help.split())
    assert known.startswith(summary(name))
    assert summary(name)


def test_help_imports_nothing_of_a_command() -> None:
    """The list of commands is shown without the libraries that commands need."""
    look = "import sys; sys.argv[1:] = ['--help']\nfrom console.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    heavy = "print(sorted({'redis', 'celery', 'pydantic', 'duckdb', 'openai', 'kombu'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", look + heavy], capture_output=True, text=True, check=True)
    assert "Makes a dataset" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
