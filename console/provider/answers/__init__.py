"""What the simulated provider answers: plausible Italian text that passes the built-in recipes' checks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jsonschema

from console.provider.answers import (
    chat,
    citations,
    cloze,
    emotional_support,
    formulas,
    function_calling,
    quiz,
    rag,
    reasoning,
)
from console.provider.answers.generic import Generator
from console.provider.answers.prompt import Ask, read
from console.provider.answers.text import prose

_ITEMS = "_items"
_MAKERS: dict[str, Callable[[Ask, random.Random], dict[str, Any]]] = {
    "Chat": chat.make,
    "Citations": citations.make,
    "Cloze": cloze.make,
    "EmotionalSupport": emotional_support.make,
    "Formulas": formulas.make,
    "FunctionCalling": function_calling.make,
    "Quiz": quiz.make,
    "Rag": rag.make,
    "Reasoning": reasoning.make,
}


def answer(name: str, schema: dict[str, Any] | None, messages: list[dict[str, Any]], rng: random.Random) -> str:
    """The text of one completion; the same for the same arguments and the same state of `rng`.

    Args:
        name: the json_schema name of the request: "Quiz", or "Quiz_items" for a list of examples.
        schema: its JSON Schema; None for a request in plain text.
        messages: chat messages, their contents texts or lists of text parts.
        rng: the only source of chance.

    Returns:
        JSON that satisfies the schema; Italian prose where there is neither a schema nor a known name.
    """
    ask = read(messages)
    kind = name.removesuffix(_ITEMS)
    made: Any
    if kind in _MAKERS and (schema is None or _fits(name, json.dumps(schema, sort_keys=True))):
        made = _made(name, schema, ask, rng)
    elif schema is None:
        return prose(ask, rng)
    else:
        made = Generator(schema, ask, rng).value()
    return json.dumps(made, ensure_ascii=False)


def _made(name: str, schema: dict[str, Any] | None, ask: Ask, rng: random.Random) -> Any:
    make = _MAKERS[name.removesuffix(_ITEMS)]
    if not name.endswith(_ITEMS):
        return make(ask, rng)
    items = ((schema or {}).get("properties") or {}).get("items") or {}
    return {"items": [make(ask, rng) for _ in range(items.get("minItems", 1))]}


@lru_cache(maxsize=256)
def _fits(name: str, schema: str) -> bool:
    """Whether a built-in answer satisfies the schema: a recipe of the user's may have a class of the same name."""
    wanted = json.loads(schema)
    sample = _made(name, wanted, Ask("", passage="Il Po nasce dal Monviso e arriva al mare."), random.Random(0))
    return bool(jsonschema.Draft202012Validator(wanted).is_valid(sample))
