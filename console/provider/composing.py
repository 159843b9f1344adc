"""The answer to one request: its text, its finish reason and its tokens."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from console.provider.faults import WITH_TEXT, Fault, lognormal
from console.provider.request import ChatRequest, tokens_of
from console.provider.settings import ProviderSettings

#: Makes the text: the schema's name, the schema, the messages as plain text, a seeded generator.
Answer = Callable[[str, dict[str, Any] | None, list[dict[str, Any]], random.Random], str]

REFUSAL = "I'm sorry, but I can't help with that request."
_BREAKS_EVERY_SCHEMA = '{"unexpected": true}'


class Composition(NamedTuple):
    """What the model says; without content or refusal it says nothing."""

    content: str | None
    refusal: str | None
    finish_reason: str | None
    completion_tokens: int


NOTHING = Composition("", None, None, 0)


def built_in_answer(
    name: str, schema: dict[str, Any] | None, messages: list[dict[str, Any]], rng: random.Random
) -> str:
    """A made-up answer that satisfies the schema."""
    # Imported with the first answer: a provider that is given its own `Answer` never needs the word lists.
    from console.provider.answers import answer  # noqa: PLC0415

    return answer(name, schema, messages, rng)


def compose(request: ChatRequest, fault: Fault | None, settings: ProviderSettings, answer: Answer) -> Composition:
    """The answer to the request, spoilt if the fault says so.

    It hangs on the seed, the request and the fault, and not on what was called before.
    """
    if fault is not None and fault not in WITH_TEXT:
        return NOTHING
    if fault is Fault.REFUSED:
        return Composition(None, REFUSAL, "content_filter", tokens_of(REFUSAL))
    rng = random.Random(f"{settings.seed}:{request.digest.hex()}")
    text = answer(request.schema_name, request.schema, request.messages, rng)
    if fault is Fault.MALFORMED:
        text = malformed(text)
    elif fault is Fault.INVALID:
        text = invalid(text)
    tokens = tokens_of(text)
    if settings.mean_completion_tokens is not None:
        drawn = lognormal(settings.mean_completion_tokens, settings.completion_sigma, rng.gauss(0.0, 1.0))
        tokens = max(1, round(drawn))
    most = min(request.max_tokens, max(1, tokens // 2)) if fault is Fault.LENGTH else request.max_tokens
    if tokens > most or fault is Fault.LENGTH:
        return Composition(text[: len(text) * most // max(tokens, most + 1)], None, "length", most)
    return Composition(text, None, "stop", tokens)


def malformed(text: str) -> str:
    """A text that is no JSON."""
    # An object that is never closed cannot be read, whatever stands in it.
    return text[: max(1, len(text) * 2 // 3)] if text.startswith("{") else "{" + text


def invalid(text: str) -> str:
    """JSON that breaks the schema of a text that satisfies it: its first property is gone."""
    try:
        value = json.loads(text)
    except ValueError:
        return _BREAKS_EVERY_SCHEMA
    items = value.get("items") if isinstance(value, dict) else None
    target = items[0] if isinstance(items, list) and items else value
    if not isinstance(target, dict) or not target:
        return _BREAKS_EVERY_SCHEMA
    del target[next(iter(target))]
    return json.dumps(value, ensure_ascii=False)
