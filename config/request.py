"""The request for one call: the body that is posted to `/chat/completions` for an example."""

from __future__ import annotations

import json
from typing import Any

from config.models import Model
from config.models import model as known
from config.money import highest
from config.recipe import Recipe

#: Bytes that a provider's own wrapping of a request may add to what we count, such as role markers.
_WRAPPING = 200


def build(
    recipe: Recipe,
    model: Model,
    variables: dict[str, Any],
    items: int,
    fraction: float = 0.0,
    max_tokens: int | None = None,
    most_nano_usd: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """The request for `items` examples with these variables, at that fraction of the job.

    Args:
        max_tokens: how many the answer may have, where that is less than the recipe says.
        most_nano_usd: what a prompt and a completion token may cost; by default what the candidates' prices say.

    Raises:
        RecipeError: the prompt cannot be rendered with these variables.
        ModelsError: a fallback is not known, and so neither is its price.
    """
    name, schema = recipe.checked_output.request_schema(items)
    system = recipe.system.strip()
    request: dict[str, Any] = {"model": model.name}
    extra: dict[str, Any] = {}
    if model.provider.flavour == "openrouter":
        most = most_nano_usd or highest(one.price.plain_nano_usd() for one in [model, *map(known, recipe.fallbacks)])
        # A model's providers differ in price, and OpenRouter goes to a dearer one when the others are busy: it is told
        # the prices that the budget is reserved by, in USD per million tokens, without what writing a cache adds.
        extra["provider"] = {"max_price": {"prompt": most[0] / 1000, "completion": most[1] / 1000}}
    if model.structured_output == "json_schema":
        request["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": name, "strict": True, "schema": schema},
        }
        if model.provider.flavour == "openrouter":
            # Without it OpenRouter takes response_format as a wish and drops it where a provider has none.
            extra["provider"]["require_parameters"] = True
    else:
        if model.structured_output == "json_object":
            request["response_format"] = {"type": "json_object"}
        text = json.dumps(schema, ensure_ascii=False)
        asked = f"Answer with JSON alone, valid against the schema below.\n\nJSON Schema ({name}):\n{text}"
        system = f"{system}\n\n{asked}".strip()
    request["messages"] = [{"role": "user", "content": recipe.render(variables, items)}]
    if system:
        request["messages"].insert(0, {"role": "system", "content": _cached(system, model)})
    request |= recipe.sampling.at(fraction, model.sampling)
    # The budget relies on a cap, so a model that does not take max_tokens is given its newer name.
    cap = "max_tokens" if "max_tokens" in model.sampling else "max_completion_tokens"
    request[cap] = recipe.max_tokens_per_call if max_tokens is None else max_tokens
    if recipe.fallbacks:
        extra["models"] = [recipe.model, *recipe.fallbacks]
    return request | extra


def _cached(system: str, model: Model) -> str | list[dict[str, Any]]:
    if model.prompt_caching != "cache_control":
        return system
    return [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]


def size(request: dict[str, Any]) -> int:
    """UTF-8 bytes of all that becomes prompt tokens. No tokenizer makes more tokens than bytes."""
    read = [request["messages"], request.get("response_format")]
    return len(json.dumps(read, ensure_ascii=False).encode()) + _WRAPPING
