"""What a caller asks for: the body of a chat completion request, checked and counted."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from console.provider.max_price import MaxPrice

DEFAULT_MAX_TOKENS = 4096

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_SCHEMA_IN_PROMPT = re.compile(r"^JSON Schema \(([^()\n]+)\):\s*\n(\s*\{.*)\Z", re.MULTILINE | re.DOTALL)
_TOKENS_PER_MESSAGE = 4


class BadRequest(ValueError):
    """The body cannot be used; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request.

    Attributes:
        models: the ids to try, in order.
        max_price: of OpenRouter's `provider` field.
        messages: role and content of each, the content as plain text.
        schema_name, schema: of the answer; "" and None if the caller named none.
        cache_prefix, cache_prefix_tokens: the system prompt up to its last `cache_control`; None and 0 if it has
            none.
        digest: the same for two requests with the same messages, schema name and `seed`.
    """

    models: tuple[str, ...]
    max_price: MaxPrice
    messages: list[dict[str, Any]]
    max_tokens: int
    schema_name: str
    schema: dict[str, Any] | None
    prompt_tokens: int
    cache_prefix: str | None
    cache_prefix_tokens: int
    digest: bytes


def tokens_of(text: str) -> int:
    """Tokens of a text: one for every 3.6 bytes, rounded up."""
    return -(-len(text.encode()) * 5 // 18)


def parse(body: bytes) -> ChatRequest:
    """A request from the body of its HTTP request.

    Raises:
        BadRequest: it is not JSON, or a field is missing, of the wrong kind or not simulated.
    """
    try:
        fields = json.loads(body)
    except ValueError:
        raise BadRequest("The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise BadRequest("The body is not a JSON object.")
    if fields.get("stream"):
        raise BadRequest("stream: the simulated provider does not stream, leave it out.")
    if fields.get("n", 1) != 1:
        raise BadRequest(f"n: the simulated provider gives one choice, not {fields['n']!r}.")
    messages, cache_prefix = _messages(fields.get("messages"))
    name, schema = _response_format(fields.get("response_format"))
    text = "".join(message["content"] for message in messages)
    if schema is None:
        name, schema = _schema_in_prompt(messages)
    else:
        text += json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    try:
        f"{name}{text}".encode()
    except UnicodeEncodeError:
        raise BadRequest("The body holds half of a surrogate pair, which is no character.") from None
    return ChatRequest(
        models=_models(fields),
        max_price=_max_price(fields.get("provider")),
        messages=messages,
        max_tokens=_max_tokens(fields),
        schema_name=name,
        schema=schema,
        prompt_tokens=tokens_of(text) + _TOKENS_PER_MESSAGE * len(messages),
        cache_prefix=cache_prefix,
        cache_prefix_tokens=tokens_of(cache_prefix) if cache_prefix else 0,
        digest=_digest(messages, name, fields.get("seed")),
    )


def _models(fields: dict[str, Any]) -> tuple[str, ...]:
    first, fallbacks = fields.get("model"), fields.get("models") or []
    named = [*([] if first is None else [first]), *(fallbacks if isinstance(fallbacks, list) else [None])]
    if not named or not all(isinstance(name, str) and name for name in named):
        raise BadRequest("model: the id of a model is missing, or `models` is not a list of ids.")
    return tuple(dict.fromkeys(named))


def _max_price(provider: Any) -> MaxPrice:
    bounds = provider.get("max_price") if isinstance(provider, dict) else provider
    if bounds is None:
        return MaxPrice()
    if not isinstance(bounds, dict):
        raise BadRequest("provider: it is not an object whose max_price is an object of prices.")
    for name, most in bounds.items():
        number = isinstance(most, int | float) and not isinstance(most, bool)
        if most is not None and not (number and 0 <= most < math.inf):
            raise BadRequest(f"provider.max_price.{name}: {most!r} is not a price in USD per million tokens.")
    prompt, completion = (
        None if bounds.get(name) is None else Decimal(str(bounds[name])) for name in ("prompt", "completion")
    )
    return MaxPrice(prompt, completion)


def _max_tokens(fields: dict[str, Any]) -> int:
    for field in ("max_completion_tokens", "max_tokens"):
        value = fields.get(field)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BadRequest(f"{field}: {value!r} is not a whole number above 0.")
        return value
    return DEFAULT_MAX_TOKENS


def _messages(raw: Any) -> tuple[list[dict[str, Any]], str | None]:
    if not isinstance(raw, list) or not raw:
        raise BadRequest("messages: a list with at least one message is missing.")
    messages: list[dict[str, Any]] = []
    cache_prefix = None
    for place, message in enumerate(raw):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise BadRequest(f"messages[{place}].role: it is not one of {', '.join(sorted(_ROLES))}.")
        text, prefix = _content(message.get("content"), place)
        messages.append({"role": message["role"], "content": text})
        if message["role"] == "system" and prefix is not None:
            cache_prefix = prefix
    return messages, cache_prefix


def _content(content: Any, place: int) -> tuple[str, str | None]:
    """The plain text of a message, and what of it may be cached."""
    if content is None or isinstance(content, str):
        return content or "", None
    text, prefix = "", None
    for part in content if isinstance(content, list) else [content]:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            raise BadRequest(f"messages[{place}].content: it is neither text nor a list of text parts.")
        text += part["text"]
        if part.get("cache_control"):
            prefix = text
    return text, prefix


def _response_format(raw: Any) -> tuple[str, dict[str, Any] | None]:
    if raw is None:
        return "", None
    kind = raw.get("type") if isinstance(raw, dict) else None
    if kind in ("text", "json_object"):
        return "", None
    wanted = raw.get("json_schema") if kind == "json_schema" else None
    if (
        not isinstance(wanted, dict)
        or not isinstance(wanted.get("name"), str)
        or not isinstance(wanted.get("schema"), dict)
    ):
        raise BadRequest("response_format: it is neither text, json_object nor json_schema with a name and a schema.")
    return wanted["name"], wanted["schema"]


def _schema_in_prompt(messages: list[dict[str, Any]]) -> tuple[str, dict[str, Any] | None]:
    """The schema that callers of lesser models write as text at the end of the system prompt."""
    for message in messages:
        found = _SCHEMA_IN_PROMPT.search(message["content"]) if message["role"] == "system" else None
        if found is not None:
            try:
                schema = json.loads(found[2])
            except ValueError:
                continue
            return found[1].strip(), schema
    return "", None


def _digest(messages: list[dict[str, Any]], name: str, seed: Any) -> bytes:
    digest = hashlib.blake2b(f"{name}\0{seed}".encode(), digest_size=16)
    for message in messages:
        digest.update(f"\0{message['role']}\0{message['content']}".encode())
    return digest.digest()
