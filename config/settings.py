"""What the environment says: the only reader of environment variables and of `.env`."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.errors import SettingsError

KEYS_FROM = {
    "OPENROUTER_API_KEY": "https://openrouter.ai/keys",
    "OPENAI_API_KEY": "https://platform.openai.com/api-keys",
}

_CERTIFICATES = ("required", "optional", "none")


class Settings(BaseSettings):
    """One reading of the environment; a variable of the process wins over `.env` in the working folder."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    redis_url: str | None = Field(None, alias="REDIS_URL", repr=False)
    openrouter_base_url: str | None = Field(None, alias="OPENROUTER_BASE_URL", repr=False)
    openai_base_url: str | None = Field(None, alias="OPENAI_BASE_URL", repr=False)
    hf_token: SecretStr | None = Field(None, alias="HF_TOKEN")

    max_concurrent: int | None = Field(None, alias="MAX_CONCURRENT", ge=1)
    """Calls in flight in the whole fleet, where it is lower than the model's own limit."""
    batch_delay_ms: int = Field(0, alias="BATCH_DELAY_MS", ge=0)
    """Milliseconds the producer waits after every 100 examples. Not needed: the fleet keeps the limits."""
    temperature: float | None = Field(None, alias="TEMPERATURE", ge=0, le=2)
    """Instead of every recipe's own temperature."""
    max_tokens: int | None = Field(None, alias="MAX_TOKENS", ge=1)
    """Instead of every recipe's own max_tokens."""

    models_file: Path | None = Field(None, alias="GENFLEET_MODELS")
    recipes_folder: Path | None = Field(None, alias="GENFLEET_RECIPES")
    output_modules: str | None = Field(None, alias="GENFLEET_OUTPUT_MODULES", pattern=r"^[\w.]+( *, *[\w.]+)*$")
    """The modules, separated by commas, whose classes recipes may name as output; by default those beside recipes."""
    data: Path = Field(Path("data"), alias="GENFLEET_DATA")
    queue_depth: int = Field(10_000, alias="GENFLEET_QUEUE_DEPTH", ge=100)
    """Examples waiting in a job's queue above which its producer waits."""
    grace_seconds: float = Field(60, alias="GENFLEET_GRACE_SECONDS", ge=0, le=600)
    """How long a worker that is told to stop lets calls in flight finish."""
    budget_usd: Decimal | None = Field(None, alias="GENFLEET_BUDGET_USD", gt=0, allow_inf_nan=False)
    """The most that the whole fleet may spend in a day (UTC), in dollars."""
    flower_basic_auth: SecretStr | None = Field(None, alias="FLOWER_BASIC_AUTH")
    log_format: Literal["plain", "json"] = Field("plain", alias="GENFLEET_LOG_FORMAT")
    """How processes log: plain lines for people, or JSON for machines."""
    otel_endpoint: str | None = Field(None, alias="OTEL_EXPORTER_OTLP_ENDPOINT", repr=False)
    """Where traces are sent; nowhere by default."""
    otel_service: str = Field("genfleet", alias="OTEL_SERVICE_NAME")

    @field_validator("redis_url")
    @classmethod
    def _a_redis_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not url.startswith(("redis://", "rediss://")):
            raise ValueError("must start with redis:// or rediss://")
        try:
            parts = urlsplit(url)
            checked = parse_qs(parts.query).get("ssl_cert_reqs", ["required"])
            usable = parts.port != 0 and re.fullmatch(r"/?\d*", parts.path) and checked[-1] in _CERTIFICATES
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("must be redis://USER:PASSWORD@HOST:PORT/NUMBER, or rediss:// with ?ssl_ca_certs=FILE")
        return url

    @field_validator("openrouter_base_url", "openai_base_url", "otel_endpoint")
    @classmethod
    def _an_http_url(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url

    @field_validator("flower_basic_auth", mode="before")
    @classmethod
    def _a_login(cls, login: str | None) -> str | None:
        user, _, password = (login or "").partition(":")
        if login is not None and not (user and password):
            raise ValueError("must be user:password")
        return login


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: one line per variable that cannot be used, all at once.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = str(problem["loc"][0])
            # A URL may hold a password, so only numbers are repeated back.
            value = f" ({problem['input']})" if name in _SHOWN else ""
            reason = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name}{value} in the environment or .env: {reason[0].lower()}{reason[1:]}.")
        raise SettingsError("\n".join(lines)) from None
    except UnicodeDecodeError:
        raise SettingsError(_NOT_UTF8) from None


_SHOWN = {
    "MAX_CONCURRENT", "BATCH_DELAY_MS", "TEMPERATURE", "MAX_TOKENS", "GENFLEET_QUEUE_DEPTH", "GENFLEET_GRACE_SECONDS",
    "GENFLEET_BUDGET_USD", "GENFLEET_LOG_FORMAT",
}  # fmt: skip
_NOT_UTF8 = ".env is not UTF-8 text; save it as UTF-8."


def choose_log_format(form: Literal["plain", "json"]) -> None:
    """Makes this process, and those it starts, log in that form."""
    os.environ["GENFLEET_LOG_FORMAT"] = form
    settings.cache_clear()


def use_broker(url: str) -> None:
    """Makes this process, and those it starts, use the broker at `url`."""
    os.environ["REDIS_URL"] = url
    settings.cache_clear()


def api_key(variable: str) -> str | None:
    """The API key in `variable`, from the process or `.env`; None where it is not set or empty.

    Keys are read when they are needed and kept nowhere, so that no object that is shown can hold one.

    Raises:
        SettingsError: `.env` is not UTF-8.
    """
    if value := os.environ.get(variable, "").strip():
        return value
    try:
        return (dotenv_values(".env").get(variable) or "").strip() or None
    except UnicodeDecodeError:
        raise SettingsError(_NOT_UTF8) from None


def key_file_stamp() -> tuple[int, int, int] | None:
    """What changes whenever `.env` does, and None where there is none: who holds a key on asks again then."""
    try:
        found = Path(".env").stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def missing_key(variable: str, what: str) -> str:
    """The sentence for a key that is not set: the variable and where to get one."""
    where = f" (get one at {KEYS_FROM[variable]})" if variable in KEYS_FROM else ""
    return f"{what} needs {variable}: set it in the environment or in .env{where}."


def missing_broker(what: str) -> str:
    """The sentence for REDIS_URL where it is needed and not set."""
    return f"{what} needs REDIS_URL: set it in the environment or in .env, as redis://HOST:6379/0."
