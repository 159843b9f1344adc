"""OpenRouter's pages beside the calls: models with their prices, a generation, the key's use."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from config.money import NANO, Price
from console.provider.audit import Call
from console.provider.settings import ProviderSettings

_CREATED = 1_760_572_800
_CONTEXT_TOKENS, _COMPLETION_TOKENS = 200_000, 64_000
_PARAMETERS = (
    "frequency_penalty", "max_tokens", "presence_penalty", "response_format", "structured_outputs", "temperature",
    "top_p",
)  # fmt: skip


def models_page(settings: ProviderSettings) -> dict[str, Any]:
    """The models that have a price of their own, as OpenRouter lists them; prices are strings, USD per token."""
    models = [
        {
            "id": model,
            "canonical_slug": model,
            "name": model,
            "created": _CREATED,
            "description": f"{model}, simulated.",
            "context_length": _CONTEXT_TOKENS,
            "architecture": {
                "modality": "text->text",
                "input_modalities": ["text"],
                "output_modalities": ["text"],
                "tokenizer": "Other",
                "instruct_type": None,
            },
            "pricing": _pricing(price),
            "top_provider": {
                "context_length": _CONTEXT_TOKENS,
                "max_completion_tokens": _COMPLETION_TOKENS,
                "is_moderated": False,
            },
            "per_request_limits": None,
            "supported_parameters": list(_PARAMETERS),
            "default_parameters": None,
            "expiration_date": None,
        }
        for model, price in settings.prices.items()
    ]
    return {"data": models, "total_count": len(models), "links": {"next": None}}


def openai_models_page(settings: ProviderSettings) -> dict[str, Any]:
    """The same models as OpenAI lists them: without prices."""
    models = [
        {"id": model, "object": "model", "created": _CREATED, "owned_by": "simulated"} for model in settings.prices
    ]
    return {"object": "list", "data": models}


def generation_page(call: Call) -> dict[str, Any]:
    """One call that was admitted and has ended, as OpenRouter tells of it afterwards."""
    return {
        "data": {
            "id": call.id,
            "model": call.model,
            "provider_name": "Simulated",
            "created_at": datetime.fromtimestamp(call.wall, UTC).isoformat(),
            "total_cost": call.cost_nano_usd / NANO,
            "usage": call.cost_nano_usd / NANO,
            "is_byok": False,
            "cancelled": call.left,
            "latency": round(call.seconds * 1000),
            "generation_time": round(call.seconds * 1000),
            "tokens_prompt": call.prompt_tokens,
            "tokens_completion": call.completion_tokens,
            "native_tokens_prompt": call.prompt_tokens,
            "native_tokens_completion": call.completion_tokens,
            "native_tokens_cached": call.cached_tokens,
        }
    }


def key_page(cost_nano_usd: int) -> dict[str, Any]:
    """The key's use so far; it has no limit of its own."""
    usage = cost_nano_usd / NANO
    return {
        "data": {
            "label": "simulated",
            "usage": usage,
            "limit": None,
            "limit_remaining": None,
            "is_free_tier": False,
        }
    }


def _pricing(price: Price) -> dict[str, str]:
    """Without a price of the cache where the model has none."""
    pricing = {
        "prompt": _per_token(price.input),
        "completion": _per_token(price.output),
        "request": "0",
        "image": "0",
        "web_search": "0",
        "internal_reasoning": "0",
    }
    cache = {"input_cache_read": price.cached_input, "input_cache_write": price.cache_write}
    return pricing | {name: _per_token(cost) for name, cost in cache.items() if cost is not None}


def _per_token(per_million: Decimal) -> str:
    return f"{per_million / 1_000_000:f}"
