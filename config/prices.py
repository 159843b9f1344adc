"""Refreshed prices: the file that `genfleet models --refresh` writes, and where each price is from.

The file lies between the built-in models and the user's own: it replaces what is built in, and GENFLEET_MODELS
replaces it, price by price.
"""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from config.errors import ModelsError
from config.frozen import Frozen
from config.private import private_folder

PriceField = Literal["input", "output", "cached_input", "cache_write"]
FIELDS: tuple[PriceField, ...] = ("input", "output", "cached_input", "cache_write")


class Origin(Frozen):
    """Where a price is from: "built in", the address of a page or "GENFLEET_MODELS", and since when it is known."""

    source: str
    date: str | None = None

    def __str__(self) -> str:
        if self.date is None:
            return self.source
        _, slashes, rest = self.source.partition("://")
        return f"{self.date} from {rest.partition('/')[0]}" if slashes else f"{self.source}, {self.date}"


class Quote(Frozen):
    """One price as a provider's page named it on a day, in USD per million tokens."""

    usd: Annotated[Decimal, Field(ge=0)]
    date: datetime.date
    source: str

    @property
    def origin(self) -> Origin:
        """Page and day."""
        return Origin(source=self.source, date=self.date.isoformat())


class Quoted(Frozen):
    """What is known of one model's prices from its provider's page; a price that was never named is missing."""

    provider: str
    price: dict[PriceField, Quote]


class _File(Frozen):
    models: dict[str, Quoted]


def read_prices(path: Path) -> dict[str, Quoted]:
    """The refreshed prices by model; none where there is no such file.

    Raises:
        ModelsError: the file is damaged or cannot be read; one sentence.
    """
    try:
        return _File.model_validate_json(path.read_bytes()).models
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise ModelsError(f"{path}: cannot be read: {problem.strerror}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelsError(
            f"{path}: damaged ({f'{place}: ' if place else ''}{first['msg']}); "
            "delete it, then write it anew with `genfleet models --refresh`."
        ) from None


def write_prices(path: Path, prices: Mapping[str, Quoted]) -> None:
    """Puts the file there whole: who reads it meanwhile finds the old one or the new one.

    Raises:
        ModelsError: it cannot be written.
    """
    text = _File(models=dict(prices)).model_dump_json(indent=1)
    try:
        private_folder(path.parent)
        handle, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f"{text}\n")
                file.flush()
                os.fsync(file.fileno())
            # As any file that is not secret: a temporary one is closed to all but its owner.
            Path(new).chmod(0o644)
            Path(new).replace(path)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise ModelsError(
            f"{path}: cannot be written: {problem.strerror}; let GENFLEET_DATA name a folder that can be."
        ) from None


def valid(prices: Mapping[str, Quoted], raw: Mapping[str, Any]) -> dict[str, Quoted]:
    """The prices of those models in `raw` that are still called where they were asked for."""
    return {name: one for name, one in prices.items() if _table(raw, "models", name).get("provider") == one.provider}


def as_models_file(prices: Mapping[str, Quoted]) -> dict[str, Any]:
    """The prices in the form of a models file, to be laid over another."""
    return {
        "models": {
            name: {"price": {field: quote.usd for field, quote in one.price.items()}} for name, one in prices.items()
        }
    }


def origins(
    name: str, built_in: Mapping[str, Any], since: str, prices: Mapping[str, Quoted], own: Mapping[str, Any]
) -> dict[PriceField, Origin]:
    """Where each of the model's prices is from: of the layers that name it, the uppermost.

    Args:
        built_in, own: the built-in models file and the user's.
        since: what the built-in prices are dated.
    """
    quoted = prices[name].price if name in prices else {}
    layers: Iterable[Mapping[Any, Origin]] = (
        dict.fromkeys(_table(built_in, "models", name, "price"), Origin(source="built in", date=since)),
        {field: quote.origin for field, quote in quoted.items()},
        dict.fromkeys(_table(own, "models", name, "price"), Origin(source="GENFLEET_MODELS")),
    )
    return {field: layer[field] for layer in layers for field in FIELDS if field in layer}


def _table(raw: Any, *path: str) -> dict[str, Any]:
    """The table at that path; an empty one where there is none, or something else."""
    for name in path:
        raw = raw.get(name) if isinstance(raw, dict) else None
    return raw if isinstance(raw, dict) else {}
