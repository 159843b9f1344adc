"""Refreshing prices: one page of models for each provider of OpenRouter's flavour, laid into one file."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

import aiohttp

from config.errors import UserError
from config.folders import prices_file
from config.models import Model, Provider, load_models, models
from config.money import usd
from config.prices import FIELDS, PriceField, Quote, Quoted, read_prices, write_prices
from config.settings import settings
from console.price_page import listed

_SECONDS, _CONNECT_SECONDS, _SILENT_SECONDS = 60, 15, 20
_MOST_BYTES = 32 * 1024 * 1024
_CHUNK = 64 * 1024


class PageError(UserError):
    """A provider's page of models cannot be used, so no price of its models has changed."""

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}, so its models keep their prices; {remedy}.")


class Refreshed(NamedTuple):
    """What came of it, as sentences: prices that are others now, what stays and why, pages that could not be read."""

    changes: list[str]
    notes: list[str]
    failures: list[str]


def refresh() -> Refreshed:
    """Reads the pages and writes the file of prices; what cannot be read or used leaves the old price.

    Raises:
        ModelsError: the file of prices is damaged or cannot be written, or a models file cannot be used.
    """
    path, own = prices_file(), settings().models_file
    before = load_models(own, path)
    known = {name: one for name, one in read_prices(path).items() if name in before}
    providers = {one.provider.name: one.provider for one in before.values() if one.provider.flavour == "openrouter"}
    named: dict[str, dict[PriceField, Decimal]] = {}
    notes, failures = [], []
    for provider in providers.values():
        try:
            entries = asyncio.run(_page(provider))
        except PageError as error:
            failures.append(str(error))
            continue
        for one in before.values():
            if one.provider != provider:
                continue
            if one.name not in entries:
                notes.append(f"{one.name}: is not, or no longer, on {_shown(provider)}; its prices stay ({_by(one)}).")
                continue
            named[one.name], said = listed(one, entries[one.name])
            notes += said
            known[one.name] = _merged(known.get(one.name), provider, named[one.name], datetime.now(UTC).date())
    if named:
        write_prices(path, known)
        models.cache_clear()
    after = load_models(own, path)
    changes = [line for name in after for line in _changes(before[name], after[name])]
    notes += [line for name, price in named.items() for line in _kept(after[name], price)]
    notes += [_elsewhere(one) for one in after.values() if one.provider.name not in providers]
    return Refreshed(changes, notes, failures)


def _merged(old: Quoted | None, provider: Provider, price: dict[PriceField, Decimal], today: date) -> Quoted:
    """What the page names now; where it names nothing, what it named before."""
    stays = old.price if old is not None and old.provider == provider.name else {}
    now = {field: Quote(usd=usd, date=today, source=_shown(provider)) for field, usd in price.items()}
    return Quoted(provider=provider.name, price={**stays, **now})


def _changes(before: Model, after: Model) -> list[str]:
    return [
        f"{after.name}: {field} {usd(old)} → {usd(new)} per million tokens"
        for field in FIELDS
        if (old := getattr(before.price, field)) != (new := getattr(after.price, field))
    ]


def _kept(one: Model, price: dict[PriceField, Decimal]) -> list[str]:
    """Prices that stay although the page names others: those that a person has set."""
    return [
        f"{one.name}: {field} stays {usd(value)} ({one.price_from[field]}); the page says {usd(price[field])}."
        for field in price
        if (value := getattr(one.price, field)) != price[field]
    ]


def _elsewhere(one: Model) -> str:
    return f"{one.name}: is called at {one.provider.name}, whose page names no prices; its prices stay ({_by(one)})."


def _by(one: Model) -> str:
    """Where the model's prices are from."""
    return ", ".join(dict.fromkeys(map(str, one.price_from.values())))


def _address(provider: Provider) -> SplitResult:
    """The page's address, which may hold a password. Raises PageError."""
    try:
        parts = urlsplit(provider.url())
    except ValueError:
        raise PageError(f"provider {provider.name}", "has an address that is no URL", _check(provider)) from None
    return parts._replace(path=f"{parts.path.rstrip('/')}/models")


def _shown(provider: Provider) -> str:
    """The page's address as it may be shown: without a password or a query."""
    parts = _address(provider)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _check(provider: Provider) -> str:
    return f"check {provider.base_url_env or f'base_url of [providers.{provider.name}]'}"


async def _page(provider: Provider) -> dict[str, dict[str, Any]]:
    """The page's entries by model. Raises PageError."""
    where, check = _shown(provider), _check(provider)
    timeout = aiohttp.ClientTimeout(total=_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS)
    body = bytearray()
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(_address(provider).geturl(), headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status != 200:
                raise PageError(where, f"answers with status {answer.status}", f"{check}, or try again later")
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise PageError(where, f"is longer than {_MOST_BYTES:,} bytes", check)
    except TimeoutError:
        raise PageError(where, "does not answer in time", f"{check}, or try again later") from None
    except aiohttp.ClientConnectorError:
        raise PageError(where, "cannot be reached", f"{check} and the network") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise PageError(where, f"cannot be read ({type(error).__name__})", f"{check} and the network") from None
    return _entries(bytes(body), where, check)


def _entries(body: bytes, where: str, check: str) -> dict[str, dict[str, Any]]:
    try:
        page = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError):
        raise PageError(where, "is no JSON", check) from None
    data = page.get("data") if isinstance(page, dict) else None
    if not isinstance(data, list):
        raise PageError(where, 'is no list of models, {"data": […]}', check)
    return {one["id"]: one for one in data if isinstance(one, dict) and isinstance(one.get("id"), str)}
