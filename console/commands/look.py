"""What there is: `recipes`, `check`."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from redis.exceptions import NoPermissionError

from config import folders
from config.errors import RecipeError, UserError
from config.models import models
from config.recipe_files import find, load, recipe_files
from config.request import build
from config.settings import missing_key, settings
from console.commands.options import Rows
from console.tables import show
from producers.expand import combinations, expand, shares
from producers.rows import Rows as RowsFile
from producers.rows import read


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.command()(recipes)
    app.command()(check)


def recipes(
    check_file: Annotated[Path | None, typer.Option("--check", help="Report every problem of a recipe file.")] = None,
    preview: Annotated[str | None, typer.Option("--preview", help="Print a recipe's prompts; no call.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="How many prompts.", min=1)] = 3,
    rows: Rows = None,
    seed: Annotated[int, typer.Option("--seed", help="As in run.")] = 0,
) -> None:
    """Lists the recipes, checks a file of your own, or shows what would be asked.

    Example: genfleet recipes --preview quiz --count 3
    """
    if check_file is not None:
        files = sorted(check_file.glob("*.toml")) if check_file.is_dir() else [check_file]
        if not files:
            raise UserError(f"{check_file}: holds no .toml file.")
        problems: list[str] = []
        for file in files:
            try:
                found = load(file)
                print(f"{file}: {found.name} is fine, {combinations(found):,} different calls before any repeats.")
            except RecipeError as error:
                problems.append(str(error))
        if problems:
            raise UserError("\n".join(problems))
    elif preview is not None:
        _preview(preview, count, rows, seed)
    else:
        known = [find(name) for name in sorted(recipe_files())]
        show(
            ("recipe", "model", "takes rows with", "what it makes"),
            ((one.name, one.model, ", ".join(one.rows) or "-", one.description) for one in known),
            left=4,
        )


def _preview(name: str, count: int, rows: str | None, seed: int) -> None:
    recipe = find(name)
    if recipe.rows and rows is None:
        raise UserError(f'recipe "{recipe.name}" takes rows with {", ".join(recipe.rows)}; give them with --rows FILE.')
    opened = RowsFile.open(rows, folders.spool()) if rows is not None else None
    source = None if opened is None else (lambda: (row.values for row in read(opened, recipe.rows)))
    items = expand(shares((recipe,), count * recipe.items_per_call), seed, source)
    for item in islice(items, count):
        request = build(recipe, recipe.used_models()[0], item.variables, item.count, item.fraction)
        print(f"── {recipe.name} {item.unit} " + "─" * 50)
        for message in request["messages"]:
            content = message["content"]
            text = content if isinstance(content, str) else "".join(part["text"] for part in content)
            print(f"[{message['role']}]\n{text}\n")
        values = {key: value for key, value in request.items() if key not in ("messages", "response_format")}
        print(f"[request] {json.dumps(values, ensure_ascii=False)}\n")


def check() -> None:
    """Is this machine ready? Keys, broker settings, recipes; exit code 1 if anything is not.

    Example: genfleet check
    """
    good, missing, bad = [], [], []
    for variable in sorted({one.provider.api_key_env for one in models().values()}):
        names = [one for one in models().values() if one.provider.api_key_env == variable]
        if names[0].provider.key() is None:
            missing.append(missing_key(variable, ", ".join(one.name for one in names)))
        else:
            good.append(f"{variable} is set, for {', '.join(one.name for one in names)}.")
    if len(missing) == len({one.provider.api_key_env for one in models().values()}):
        bad.append("no key is set, so no model can be called.")
    for name in recipe_files():
        try:
            find(name)
        except RecipeError as error:
            bad.append(str(error))
    good.append(f"{len(recipe_files())} recipes.")
    for problem in _broker_problems(good):
        bad.append(problem)
    for line in good:
        print(f"ok   {line}")
    for line in missing:
        print(f"--   {line}")
    for line in bad:
        print(f"FAIL {line}")
    sys.exit(1 if bad else 0)


def _broker_problems(good: list[str]) -> list[str]:
    from ledger.connection import connect, shown  # noqa: PLC0415

    url = settings().redis_url
    if url is None:
        good.append("REDIS_URL is not set: run and demo use a broker of their own, a fleet needs one.")
        return []
    redis = connect(url)
    problems = ["REDIS_URL turns the check of the broker's certificate off."] if "ssl_cert_reqs=none" in url else []
    try:
        version = redis.info("server")["redis_version"]
        policy, log = (redis.config_get(name).get(name) for name in ("maxmemory-policy", "appendonly"))
    except NoPermissionError:
        good.append(f"the broker at {shown(url)} answers; its settings are for an admin to look at.")
        return problems
    good.append(f"the broker at {shown(url)} answers ({version}).")
    if policy != "noeviction":
        problems.append("the broker evicts keys when memory is short: set maxmemory-policy noeviction.")
    if log != "yes":
        problems.append("the broker forgets everything when it restarts: set appendonly yes.")
    return problems
