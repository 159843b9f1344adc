"""OpenRouter's pages beside the calls: models with their prices, a generation, the key's use."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from config.models import Price
from console.provider.audit import Call
from console.provider.bill import NANO
from console.provider.settings import ProviderSettings

_PARAMETERS = ("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "response_format")


def models_page(settings: ProviderSettings) -> dict[str, Any]:
    """The models that have a price of their own; prices are strings, USD per token."""
    models = [
        {
            "id": model,
            "object": "model",
            "created": 0,
            "owned_by": "simulated",
            "name": model,
            "pricing": _pricing(price),
            "supported_parameters": list(_PARAMETERS),
        }
        for model, price in settings.prices.items()
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
    cached = price.input if price.cached_input is None else price.cached_input
    written = price.input if price.cache_write is None else price.cache_write
    return {
        "prompt": _per_token(price.input),
        "completion": _per_token(price.output),
        "input_cache_read": _per_token(cached),
        "input_cache_write": _per_token(written),
        "request": "0",
        "image": "0",
    }


def _per_token(per_million: Decimal) -> str:
    return f"{per_million / 1_000_000:f}"
