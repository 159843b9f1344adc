"""What there is: `models`, `recipes`, `check`, `usage`."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from config.errors import RecipeError, UserError
from config.models import Model, models
from config.recipe_files import find, load, recipe_files
from config.request import build
from config.settings import missing_key, settings
from console.commands.options import AsJson, Rows
from console.tables import show
from console.usage import usage_of
from producers.expand import combinations, expand, shares
from producers.rows import Rows as RowsFile
from producers.rows import read
from workers.times import check_times


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.command(name="models")(list_models)
    app.command()(recipes)
    app.command()(check)
    app.command()(usage)


def list_models(as_json: AsJson = False) -> None:
    """The models that jobs can name: prices in USD per million tokens, limits per minute.

    Example: genfleet models
    """
    if as_json:
        print(json.dumps([one.model_dump(mode="json", exclude={"provider"}) for one in models().values()]))
        return
    show(
        ("model", "provider", "key", "input", "output", "requests", "tokens", "concurrent"),
        (_model_row(one) for one in models().values()),
        left=3,
    )


def _model_row(one: Model) -> list[str]:
    limits = one.limits
    figures = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)
    key = "set" if one.provider.key() else f"{one.provider.api_key_env} is not set"
    prices = [f"${one.price.input}", f"${one.price.output}"]
    return [one.name, one.provider.name, key, *prices, *("-" if n is None else f"{n:,.0f}" for n in figures)]


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
    opened = RowsFile.open(rows, settings().data / "spool") if rows is not None else None
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
    """Is this machine ready? Keys, broker settings, time order, recipes; exit code 1 if anything is not.

    Example: genfleet check
    """
    good, missing, bad = [], [], list(check_times())
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
    good.append(f"the broker at {shown(url)} answers ({redis.info('server')['redis_version']}).")
    problems = []
    if redis.config_get("maxmemory-policy").get("maxmemory-policy") != "noeviction":
        problems.append("the broker evicts keys when memory is short: set maxmemory-policy noeviction.")
    if redis.config_get("appendonly").get("appendonly") != "yes":
        problems.append("the broker forgets everything when it restarts: set appendonly yes.")
    return problems


def usage(
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    by: Annotated[str, typer.Option("--by", help="model, recipe, hour, day, week, outcome or job.")] = "model",
) -> None:
    """Requests, tokens, cost, errors and latency of all collected attempts on this machine.

    Example: genfleet usage --by day
    """
    found: list[dict[str, Any]] = usage_of(settings().data / "jobs", by)
    if as_json:
        print(json.dumps(found, default=str))
        return
    if as_csv:
        import csv  # noqa: PLC0415

        if found:
            writer = csv.DictWriter(sys.stdout, fieldnames=list(found[0]))
            writer.writeheader()
            writer.writerows(found)
        return
    show(
        [name.replace("_", " ") for name in (found[0] if found else [by])],
        (["-" if value is None else str(value) for value in row.values()] for row in found),
        empty="No attempts are collected on this machine yet.",
    )
