"""Calls to a provider: one async client for the whole process, and what came back as plain facts."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import aiohttp
import openai
from httpx2 import Limits, Response
from openai import AsyncOpenAI, DefaultAioHttpClient, RequestOptions

from config.models import Model, Provider, models
from ledger.storable import read_json
from workers.errors import Failure, Told
from workers.loose import count, header_number, number, table, text
from workers.usage import cost_of, tokens_of

_PATH = "chat/completions"
#: Said with each call, for what it would otherwise copy from its own defaults.
_OPTIONS: RequestOptions = {"headers": {}, "max_retries": 0, "security": {"bearer_auth": True}}
_CONNECT_SECONDS = 15.0
_AFFORDS = re.compile(r"can only afford (\d{1,9})\b", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """An answer that the provider completed, and so billed. Money in nano-dollars, latency in seconds."""

    text: str
    finish_reason: str | None
    refusal: str | None
    answered_by: str
    generation_id: str | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: int | None
    """None where the provider told neither cost nor tokens."""
    cost_source: str
    latency: float
    cache_write_tokens: int = 0
    told: Told | None = None
    """The limits that its headers name."""


class Client:
    """The way to one provider. Retries are off: every call is admitted and settled on its own."""

    def __init__(self, provider: Provider, key: str) -> None:
        self._openai = AsyncOpenAI(
            api_key=key,
            base_url=provider.url(),
            max_retries=0,
            default_headers=provider.headers,
            # The process's places bound the calls, so 0, for no limit: the 1,001st would wait here until it fails.
            http_client=DefaultAioHttpClient(limits=Limits(max_connections=0)),
        )
        # Whole, or the package would join it with its base for every call.
        self._url = f"{self._openai.base_url}{_PATH}"

    def use(self, key: str) -> None:
        """Sends this key from the next call on."""
        self._openai.api_key = key

    async def call(self, request: dict[str, Any], model: Model, seconds: float) -> Answer | Failure:
        """Makes one call; never raises for what the provider or the network does."""
        asked = request.get("models", ())
        fallbacks = [one for name, one in models().items() if name in asked and name != model.name]
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                # `chat.completions.create` sends the same body, after it has looked for things to convert in all of it,
                # and reads the answer into objects: a third of what a call costs us, and neither is of use here.
                raw = await self._openai.post(
                    self._url,
                    cast_to=Response,
                    body=request,
                    options=_OPTIONS | {"timeout": openai.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))},
                )
            body = read_json(raw.content)
        except TimeoutError:
            return Failure(transport="timeout", latency=time.monotonic() - began)
        except openai.APIStatusError as error:
            return _from_status(error, time.monotonic() - began)
        except openai.APIConnectionError as error:
            return Failure(transport=_broken(error), latency=time.monotonic() - began)
        except (ValueError, RecursionError, aiohttp.ClientError):
            # No HTTP, or a body that is no JSON: a proxy's page, or an answer cut on its way.
            return Failure(transport="connection", latency=time.monotonic() - began)
        return read(body, model, time.monotonic() - began, fallbacks, _told(raw.headers))

    async def close(self) -> None:
        """Closes the connections."""
        await self._openai.close()


def read(
    body: Any, model: Model, latency: float, fallbacks: Sequence[Model] = (), told: Told | None = None
) -> Answer | Failure:
    """A 200 body: an answer, or the error that some providers put there. Never raises, whatever the body."""
    body = table(body)
    choices = body.get("choices")
    choice = table(choices[0]) if isinstance(choices, list) and choices else {}
    error = body.get("error") or choice.get("error")
    if error or not choice or choice.get("finish_reason") == "error":
        return _failure(200, error, None, latency, told)
    message, usage = table(choice.get("message")), table(body.get("usage"))
    answered_by = text(body.get("model")) or model.name
    tokens = tokens_of(usage)
    cost, source = cost_of(usage, tokens, answered_by, [model, *fallbacks])
    return Answer(
        text=text(message.get("content")) or "",
        finish_reason=text(choice.get("finish_reason")),
        refusal=text(message.get("refusal")),
        answered_by=answered_by,
        generation_id=text(body.get("id")),
        prompt_tokens=tokens.prompt,
        completion_tokens=tokens.completion,
        cached_tokens=tokens.cached,
        cost=cost,
        cost_source=source,
        latency=latency,
        cache_write_tokens=tokens.written,
        told=told,
    )


def _broken(error: BaseException) -> Literal["timeout", "connect", "connection"]:
    """How a call broke on its way. The package calls every lost connection a timeout, so the causes are asked."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) for cause in causes):
        return "connect"
    if any(isinstance(cause, aiohttp.ClientError) and not isinstance(cause, TimeoutError) for cause in causes):
        return "connection"
    return "timeout" if isinstance(error, openai.APITimeoutError) else "connection"


def _from_status(error: openai.APIStatusError, latency: float) -> Failure:
    headers = error.response.headers
    body = table(error.body)
    return _failure(error.status_code, body.get("error", body), _retry_after(headers), latency, _told(headers))


def _failure(status: int, error: Any, retry_after: float | None, latency: float, told: Told | None) -> Failure:
    error = table(error)
    metadata, availability = table(error.get("metadata")), table(error.get("availability"))
    if status == 200:
        # Two shapes are documented: the status as `code`, or as `http_status` beside `error_type`.
        inner = count(error.get("code")) or count(error.get("http_status"))
        status = inner if 400 <= inner <= 599 else 200
    kind = _first(error.get("error_type"), metadata.get("error_type"), error.get("type"))
    if "flagged_input" in metadata or "patterns" in metadata:
        # OpenRouter's moderation and its guardrails say what they found in the input, not always a kind.
        kind = "content_policy_violation"
    retryable = availability.get("retryable")
    return Failure(
        status=status,
        code=_first(error.get("code"), metadata.get("reason"), availability.get("code")),
        kind=kind,
        retryable=retryable if isinstance(retryable, bool) else None,
        retry_after=retry_after if retry_after is not None else number(availability.get("retry_after")),
        affords=_affords(error.get("message")) if status == 402 else None,
        latency=latency,
        told=told,
    )


def _affords(message: Any) -> int | None:
    """OpenRouter tells an account that is empty from one that is too small for `max_tokens` in words alone."""
    found = _AFFORDS.search(message) if isinstance(message, str) else None
    return int(found[1]) if found is not None else None


def _first(*words: Any) -> str | None:
    return next((word for word in words if isinstance(word, str)), None)


def _retry_after(headers: Any) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` (seconds, or a date); None where neither says."""
    milliseconds = header_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = header_number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        # The provider's date against the provider's clock: ours may be another.
        now = headers.get("date")
        since = time.time() if now is None else parsedate_to_datetime(now).timestamp()
        return max(0.0, parsedate_to_datetime(value).timestamp() - since)
    except (ValueError, OverflowError):
        return None


def _told(headers: Mapping[str, str]) -> Told | None:
    """The limits in OpenAI's headers, on answers and refusals alike; one of 0 is no limit to go by."""
    requests = header_number(headers.get("x-ratelimit-limit-requests")) or None
    tokens = header_number(headers.get("x-ratelimit-limit-tokens")) or None
    return Told(requests, tokens) if requests or tokens else None
