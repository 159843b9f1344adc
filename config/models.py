"""Providers and models: the typed view of models.toml and of what is laid over it.

Refreshed prices lie over the built-in file, the user's file (GENFLEET_MODELS) over both.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from config.errors import ModelsError
from config.folders import prices_file
from config.frozen import Frozen
from config.money import Price
from config.prices import Origin, PriceField, as_models_file, origins, read_prices, valid
from config.settings import api_key, settings
from config.toml_files import laid_over, read_toml

BUILT_IN = Path(__file__).with_name("models.toml")

Sampling = Literal["temperature", "top_p", "frequency_penalty", "presence_penalty", "max_tokens"]


class Provider(Frozen):
    """Where calls go, and the name of the variable that holds its key."""

    name: str
    base_url: str = Field(pattern=r"^https?://")
    base_url_env: str | None = None
    api_key_env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    headers: dict[str, str] = Field(default_factory=dict)
    flavour: Literal["openrouter", "openai"] = "openai"

    def url(self) -> str:
        """The address to call: the environment's, else the file's."""
        known = {
            "OPENROUTER_BASE_URL": settings().openrouter_base_url,
            "OPENAI_BASE_URL": settings().openai_base_url,
        }
        return known.get(self.base_url_env or "") or self.base_url

    def key(self) -> str | None:
        """The API key, or None where it is not set."""
        return api_key(self.api_key_env)


class Limits(Frozen):
    """What the fleet may use of a model; None is no limit."""

    requests_per_minute: float | None = Field(None, gt=0, allow_inf_nan=False)
    tokens_per_minute: float | None = Field(None, gt=0, allow_inf_nan=False)
    concurrent_requests: int | None = Field(None, ge=1)


class Model(Frozen):
    """One model: where it is, what it costs, what it takes."""

    name: str
    provider: Provider
    context_window: int = Field(gt=0)
    max_output_tokens: int = Field(gt=0)
    price: Price
    price_from: dict[PriceField, Origin] = Field(default_factory=dict)
    """Where each price is from; no file sets it."""
    limits: Limits = Limits()
    token_counting: Literal["actual", "reserved"] = "actual"
    structured_output: Literal["json_schema", "json_object", "none"] = "none"
    sampling: frozenset[Sampling] = frozenset()
    temperature_range: tuple[float, float] = (0.0, 2.0)
    prompt_caching: Literal["cache_control", "automatic", "none"] = "automatic"


def load_models(over: Path | None = None, refreshed: Path | None = None) -> dict[str, Model]:
    """The built-in models, with the prices in `refreshed` and then the file `over` laid over them, by id.

    Raises:
        ModelsError: every problem of the files, one sentence each.
    """
    built_in = read_toml(BUILT_IN, ModelsError)
    since = built_in.pop("prices_as_of")
    own = {} if over is None else read_toml(over, ModelsError)
    prices = {} if refreshed is None else valid(read_prices(refreshed), laid_over(built_in, own))
    raw = laid_over(laid_over(built_in, as_models_file(prices)), own)
    where = over or BUILT_IN
    problems: list[str] = []
    providers: dict[str, Provider] = {}
    declared = _tables(raw, "providers", problems)
    for name, table in declared.items():
        try:
            providers[name] = Provider(**{**table, "name": name})
        except ValidationError as error:
            # Somebody may have put a key or a password here, so no value is repeated.
            problems += _sentences(error, f"providers.{name}", shown=False)
    models: dict[str, Model] = {}
    for name, table in _tables(raw, "models", problems).items():
        provider = str(table.get("provider"))
        if provider not in declared:
            problems.append(f'models."{name}".provider: "{provider}" is not one of {sorted(declared)}.')
        if provider not in providers:
            continue
        known = {"name": name, "provider": providers[provider]}
        try:
            models[name] = Model(**{**table, **known, "price_from": origins(name, built_in, since, prices, own)})
        except ValidationError as error:
            problems += _sentences(error, f'models."{name}"')
    problems += [f'"{name}": unknown table.' for name in raw if name not in ("providers", "models")]
    if problems:
        raise ModelsError("\n".join(f"{where}: {problem}" for problem in problems))
    return models


def _tables(raw: dict[str, Any], kind: str, problems: list[str]) -> dict[str, dict[str, Any]]:
    """The tables `[kind.NAME]` by name; what stands there and is no table is added to the problems."""
    tables = raw.get(kind, {})
    if not isinstance(tables, dict):
        problems.append(f"{kind}: must hold tables, [{kind}.NAME].")
        return {}
    problems += [f"{kind}.{name}: must be a table." for name, table in tables.items() if not isinstance(table, dict)]
    return {name: table for name, table in tables.items() if isinstance(table, dict)}


def _sentences(error: ValidationError, prefix: str, *, shown: bool = True) -> list[str]:
    return [
        f"{'.'.join([prefix, *map(str, e['loc'])])}: {e['msg']}{_shown(e) if shown else ''}." for e in error.errors()
    ]


def _shown(problem: Any) -> str:
    return "" if problem["type"] == "missing" else f" (is {problem['input']!r})"


@lru_cache(maxsize=1)
def models() -> dict[str, Model]:
    """The models of this process, by id; prices as they were when it first asked."""
    return load_models(settings().models_file, prices_file())


def model(name: str) -> Model:
    """The model of that id.

    Raises:
        ModelsError: there is none; the message names those that there are.
    """
    try:
        return models()[name]
    except KeyError:
        known = ", ".join(sorted(models()))
        raise ModelsError(
            f'model "{name}" is not known; there are {known}. Add it to a file named in GENFLEET_MODELS.'
        ) from None
