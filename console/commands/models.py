"""`genfleet models`: the models that jobs can name, and what they cost today."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from config.folders import prices_file
from config.models import Model, models
from config.money import usd
from console.commands.options import AsJson
from console.tables import show


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command(name="models")(list_models)


def list_models(
    as_json: AsJson = False,
    refreshed: Annotated[
        bool, typer.Option("--refresh", help="Ask OpenRouter for today's prices, and say which have changed.")
    ] = False,
) -> None:
    """The models that jobs can name: prices in USD per million tokens and where they are from, limits per minute.

    Example: genfleet models --refresh
    """
    failed = _refresh(as_json) if refreshed else False
    if as_json:
        print(json.dumps([one.model_dump(mode="json", exclude={"provider"}) for one in models().values()]))
    elif not refreshed:
        show(
            ("model", "provider", "key", "prices from", "input", "output", "requests", "tokens", "concurrent"),
            (_row(one) for one in models().values()),
            left=4,
        )
    if failed:
        sys.exit(1)


def _refresh(quiet: bool) -> bool:
    """Whether a page could not be read. What is said goes to standard error where standard output is for JSON."""
    from console.refresh import refresh  # noqa: PLC0415  brings an HTTP client that only this option needs

    came = refresh()
    out = sys.stderr if quiet else sys.stdout
    for line in (*came.changes, *came.notes):
        print(line, file=out)
    for line in came.failures:
        print(line, file=sys.stderr)
    if came.changes:
        print(f"Today's prices are in {prices_file()}; workers that run take them when they start again.", file=out)
    elif not came.failures:
        print("No price has changed.", file=out)
    return bool(came.failures)


def _row(one: Model) -> list[str]:
    limits = one.limits
    figures = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)
    key = "set" if one.provider.key() else f"{one.provider.api_key_env} is not set"
    since = ", ".join(dict.fromkeys(map(str, one.price_from.values())))
    prices = [usd(one.price.input), usd(one.price.output)]
    return [one.name, one.provider.name, key, since, *prices, *("-" if n is None else f"{n:,.0f}" for n in figures)]
