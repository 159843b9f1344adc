"""What the simulated provider is: one frozen object that holds everything it can be told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from config.models import Limits, Model
from config.money import Price
from console.provider.faults import checked_faults

TokenCounting = Literal["actual", "reserved"]
RetryAfter = Literal["integer", "decimal", "none"]


class ProviderSettings(BaseModel):
    """Settings of the simulated provider.

    Attributes:
        port: 0 takes a free port.
        seed: of the texts, the faults and the latencies.
        limits: of every model; None is no limit.
        model_limits: of single models; what an entry leaves out is taken from `limits`.
        burst_seconds_requests, burst_seconds_tokens: how many seconds of a limit may be used at once.
        token_counting: what a call takes from the tokens per minute at admission: "actual" is its prompt and
            the completion that it will get, "reserved" its prompt and its `max_tokens`.
        latency_seconds: mean of a lognormal distribution whose sigma is `latency_sigma`.
        mean_completion_tokens: None counts the text, a number draws the count around that mean with the
            lognormal sigma `completion_sigma`.
        faults: probability of each fault by name, see `faults.Fault`.
        down: models that answer nothing, so that a request's next model answers.
        revoked: keys that begin like one of these are refused; "sk-invalid" always is.
        retry_after: how a 429 says when to come back: whole seconds, milliseconds as decimals, or not at all.
        prices: of the models that exist; with none given every model exists and costs `default_price`.
        cache_minimum_tokens: shorter system prompts are not cached.
        audit_path: a file to which one JSON line is appended for every call.
        audit_keep: how many calls `GET /audit` and `GET /generation` remember.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    seed: int = 0
    limits: Limits = Limits()
    model_limits: dict[str, Limits] = {}
    burst_seconds_requests: float = Field(1.0, ge=0)
    burst_seconds_tokens: float = Field(6.0, ge=0)
    token_counting: TokenCounting = "actual"
    model_token_counting: dict[str, TokenCounting] = {}
    latency_seconds: float = Field(0.0, ge=0)
    latency_sigma: float = Field(0.4, ge=0)
    mean_completion_tokens: float | None = Field(None, gt=0)
    completion_sigma: float = Field(0.5, ge=0)
    faults: dict[str, float] = {}
    down: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    retry_after: RetryAfter = "integer"
    prices: dict[str, Price] = {}
    default_price: Price = Price.model_validate(
        {"input": "1.00", "output": "5.00", "cached_input": "0.10", "cache_write": "1.25"}
    )
    cache_minimum_tokens: int = Field(4096, ge=1)
    audit_path: Path | None = None
    audit_keep: int = Field(100_000, ge=1)

    @field_validator("faults")
    @classmethod
    def _known_faults(cls, faults: dict[str, float]) -> dict[str, float]:
        return checked_faults(faults)

    @classmethod
    def like(cls, models: Mapping[str, Model], **others: Any) -> ProviderSettings:
        """Settings with the prices, limits and token counting of these models; `others` are any other settings."""
        return cls(
            **{
                "prices": {name: model.price for name, model in models.items()},
                "model_limits": {name: model.limits for name, model in models.items()},
                "model_token_counting": {name: model.token_counting for name, model in models.items()},
                **others,
            }
        )

    def limits_of(self, model: str) -> Limits:
        """The limits of one model."""
        own = self.model_limits.get(model)
        return self.limits if own is None else self.limits.model_copy(update=own.model_dump(exclude_unset=True))

    def token_counting_of(self, model: str) -> TokenCounting:
        """How tokens of one model are counted."""
        return self.model_token_counting.get(model, self.token_counting)

    def price_of(self, model: str) -> Price | None:
        """The price of one model; None if there is no such model."""
        return self.prices.get(model) if self.prices else self.default_price
