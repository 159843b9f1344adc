"""Calls to a provider: one async client for the whole process, and what came back as plain facts."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import aiohttp
import openai
from openai import AsyncOpenAI, DefaultAioHttpClient

from config.models import Model, Provider, models, to_nano_usd
from workers.errors import Failure


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
    cost: int
    cost_source: str
    latency: float


class Client:
    """The way to one provider. Retries are off: every call is admitted and settled on its own."""

    def __init__(self, provider: Provider, key: str) -> None:
        self._openai = AsyncOpenAI(
            api_key=key,
            base_url=provider.url(),
            max_retries=0,
            default_headers=provider.headers,
            http_client=DefaultAioHttpClient(),
        )

    async def call(self, request: dict[str, Any], model: Model, seconds: float) -> Answer | Failure:
        """Makes one call; never raises for what the provider or the network does."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                raw = await self._openai.chat.completions.with_raw_response.create(**request, timeout=seconds)
            body = json.loads(raw.content)
        except TimeoutError:
            return Failure(transport="timeout", latency=time.monotonic() - began)
        except openai.APIStatusError as error:
            return _from_status(error, time.monotonic() - began)
        except openai.APIConnectionError as error:
            return Failure(transport=_broken(error), latency=time.monotonic() - began)
        except ValueError:
            # A body that is no JSON: a proxy's page, or an answer cut on its way.
            return Failure(transport="connection", latency=time.monotonic() - began)
        return read(body, model, time.monotonic() - began)

    async def close(self) -> None:
        """Closes the connections."""
        await self._openai.close()


def read(body: Any, model: Model, latency: float) -> Answer | Failure:
    """A 200 body: an answer, or the error that some providers put there."""
    if not isinstance(body, dict):
        return Failure(status=200, latency=latency)
    choices = body.get("choices") or []
    choice = choices[0] if choices else {}
    error = body.get("error") or choice.get("error")
    if error or not choices or choice.get("finish_reason") == "error":
        return _failure(200, error or {}, None, latency)
    message = choice.get("message") or {}
    usage = body.get("usage") or {}
    answered_by = str(body.get("model") or model.name)
    details = usage.get("prompt_tokens_details") or {}
    prompt, completion = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    cached, written = int(details.get("cached_tokens") or 0), int(details.get("cache_write_tokens") or 0)
    if usage.get("cost") is not None:
        cost, source = to_nano_usd(usage["cost"]), "provider"
    else:
        priced = models().get(answered_by, model)
        cost, source = priced.price.nano_usd(prompt, completion, cached, written), "prices"
    return Answer(
        text=message.get("content") or "",
        finish_reason=choice.get("finish_reason"),
        refusal=message.get("refusal"),
        answered_by=answered_by,
        generation_id=body.get("id"),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        cost=cost,
        cost_source=source,
        latency=latency,
    )


def _broken(error: BaseException) -> Literal["timeout", "connect", "connection"]:
    """How a call broke on its way. The package calls every lost connection a timeout, so the causes are asked."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(cause, aiohttp.ClientConnectorError) for cause in causes):
        return "connect"
    if any(isinstance(cause, aiohttp.ClientError) and not isinstance(cause, TimeoutError) for cause in causes):
        return "connection"
    return "timeout" if isinstance(error, openai.APITimeoutError) else "connection"


def _from_status(error: openai.APIStatusError, latency: float) -> Failure:
    headers = error.response.headers
    body = error.body if isinstance(error.body, dict) else {}
    if isinstance(body.get("error"), dict):
        body = body["error"]
    return _failure(error.status_code, body, _retry_after(headers), latency)


def _failure(status: int, error: Any, retry_after: float | None, latency: float) -> Failure:
    error = error if isinstance(error, dict) else {}
    metadata, availability = error.get("metadata") or {}, error.get("availability") or {}
    code = error.get("code")
    if isinstance(code, int) and status == 200:
        status = code
    return Failure(
        status=status,
        code=str(code) if isinstance(code, str) else availability.get("code"),
        kind=error.get("error_type") or metadata.get("error_type") or error.get("type"),
        retryable=availability.get("retryable"),
        retry_after=retry_after if retry_after is not None else availability.get("retry_after"),
        latency=latency,
    )


def _retry_after(headers: Any) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` (seconds, or a date)."""
    if (value := headers.get("retry-after-ms")) is not None:
        try:
            return float(value) / 1000
        except ValueError:
            return None
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
