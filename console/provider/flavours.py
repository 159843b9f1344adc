"""What differs between OpenRouter and OpenAI: how they word their answers, errors and headers."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from console.provider.bill import Usage
from console.provider.buckets import Limiter, Refusal
from console.provider.composing import Composition
from console.provider.settings import RetryAfter


class Reply(NamedTuple):
    """An HTTP answer: status, JSON body and headers; `retry_after` are the seconds that it tells to wait."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = MappingProxyType({})
    retry_after: float | None = None


class Flavour(ABC):
    """One provider's manner of speaking."""

    name: str
    #: The prompt of an answer without any content is billed.
    bills_empty: bool
    #: It passes over models that are dearer than the request's `provider.max_price`.
    heeds_max_price: bool

    @abstractmethod
    def error(self, status: int, message: str, kind: str) -> Reply:
        """An error; `kind` is the word that tells errors of one status apart."""

    @abstractmethod
    def unauthorized(self, key_given: bool) -> Reply:
        """The key is missing, or there is no such key."""

    @abstractmethod
    def no_credit(self) -> Reply:
        """The account has run out of credit."""

    def low_credit(self, asked: int) -> Reply:
        """The account has credit left, but not for `asked` tokens."""
        return self.no_credit()

    @abstractmethod
    def unknown_model(self, model: str) -> Reply:
        """There is no such model."""

    def too_dear(self, model: str) -> Reply:
        """No provider offers the models that were asked for, such as this one, at the price that was asked for."""
        return self.error(
            404, f"No endpoints found for {model} that satisfy provider.max_price.", "constraint_filtered"
        )

    @abstractmethod
    def failure(self, status: int) -> Reply:
        """The provider fails, without fault of the caller."""

    @abstractmethod
    def rate_limited(self, model: str, limit: str, refusal: Refusal, style: RetryAfter) -> Reply:
        """A limit refuses the call; `limit` says it in words."""

    @abstractmethod
    def headers(self, limiter: Limiter, now: float) -> Mapping[str, str]:
        """The headers of an answer."""

    @abstractmethod
    def usage(self, usage: Usage, cost_nano_usd: int) -> dict[str, Any]:
        """Tokens and cost as the answer reports them."""

    def bad_request(self, sentence: str) -> Reply:
        """The request cannot be used."""
        return self.error(400, sentence, "invalid_request")

    def completion(self, generation_id: str, model: str, said: Composition, usage: dict[str, Any]) -> Reply:
        """An answer of the model."""
        message = {"role": "assistant", "content": said.content, "refusal": said.refusal}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish_reason}
        return Reply(
            200,
            {
                "id": generation_id,
                "object": "chat.completion",
                "created": int(time.time()),
                "model": model,
                "provider": "Simulated",
                "choices": [choice],
                "usage": usage,
            },
        )


def tokens_of_usage(usage: Usage) -> dict[str, Any]:
    """The part of an answer's `usage` that is the same everywhere."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def retry_after_header(seconds: float, style: RetryAfter) -> tuple[dict[str, str], float | None]:
    """The header that says when to come back, and the seconds that it says."""
    if style == "none":
        return {}, None
    if style == "integer":
        seconds = max(1, math.ceil(seconds))
        return {"Retry-After": str(seconds)}, float(seconds)
    return {"Retry-After": f"{seconds:.3f}"}, seconds
