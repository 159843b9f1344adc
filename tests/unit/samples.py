"""Small recipes, models and answers for tests; each takes what a test wants different."""

from __future__ import annotations

from typing import Any

from config.models import Model
from config.recipe import Recipe
from workers.client import Answer

OUTPUT: dict[str, Any] = {
    "title": "Card",
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
    "additionalProperties": False,
}


def recipe_of(**changes: Any) -> Recipe:
    """A recipe without rows, whose output is two strings."""
    plain = {
        "name": "cards",
        "model": "anthropic/claude-haiku-4.5",
        "system": "Scrivi schede.",
        "prompt": "Scrivi {{ items }} schede di {{ subject }}.",
        "output": OUTPUT,
        "axes": {"subject": ["storia", "scienze"]},
        "sampling": {"temperature": 0.8, "max_tokens": 900},
    }
    return Recipe.model_validate(plain | changes)


def model_of(**changes: Any) -> Model:
    """A model of OpenRouter's at 1 dollar per million tokens in and 5 out."""
    provider = {
        "name": "openrouter",
        "base_url": "https://openrouter.example/api/v1",
        "api_key_env": "OPENROUTER_API_KEY",
        "flavour": "openrouter",
    } | changes.pop("provider", {})
    plain = {
        "name": "maker/model",
        "provider": provider,
        "context_window": 200_000,
        "max_output_tokens": 64_000,
        "price": {"input": "1", "output": "5", "cached_input": "0.1", "cache_write": "1.25"},
        "structured_output": "json_schema",
        "sampling": ["temperature", "top_p", "frequency_penalty", "presence_penalty", "max_tokens"],
    }
    return Model.model_validate(plain | changes)


def answer_of(text: str = '{"question": "Chi?", "answer": "Io."}', **changes: Any) -> Answer:
    """An answer that the provider completed and billed."""
    plain: dict[str, Any] = {
        "finish_reason": "stop",
        "refusal": None,
        "answered_by": "maker/model",
        "generation_id": "gen-1",
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "cached_tokens": 10,
        "cost": 341_000,
        "cost_source": "provider",
        "latency": 2.5,
    }
    return Answer(text=text, **(plain | changes))
