"""The simulated provider over real HTTP, as the official client and a plain one see it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI, DefaultAioHttpClient
from openai.types.chat import ChatCompletion

from config.models import Limits
from config.money import Price
from console.provider.control import ControlError
from console.provider.server import ProviderError, SimulatedProvider
from console.provider.settings import ProviderSettings

PRICE = Price(input=Decimal("1.00"), output=Decimal("5.00"), cached_input=Decimal("0.10"), cache_write=Decimal("1.25"))
SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
    "additionalProperties": False,
}

#: The least that a request needs.
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Ciao"}]}


def answer(name: str, schema: dict[str, Any] | None, messages: list[dict[str, Any]], rng: random.Random) -> str:
    """An answer that satisfies SCHEMA, or a sentence if none was asked for."""
    text = f"È {rng.random()}, dopo «{messages[-1]['content']}»."
    return text if schema is None else json.dumps({"question": name, "answer": text}, ensure_ascii=False)


def provider(**settings: Any) -> SimulatedProvider:
    """A provider of the models m and n, to be used as a context."""
    return SimulatedProvider(ProviderSettings(prices={"m": PRICE, "n": PRICE}, **settings), answer)


def client(url: str, key: str = "sk-test", timeout: float = 20.0) -> AsyncOpenAI:
    """The official client with its own retries off."""
    return AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=timeout, http_client=DefaultAioHttpClient())


async def ask(caller: AsyncOpenAI, prompt: str = "Ciao", **fields: Any) -> ChatCompletion:
    """One call for SCHEMA."""
    asked: dict[str, Any] = {
        "model": "m",
        "messages": [{"role": "system", "content": "Sei un maestro."}, {"role": "user", "content": prompt}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "Quiz", "strict": True, "schema": SCHEMA},
        },
        "max_tokens": 500,
        **fields,
    }
    completion: ChatCompletion = await caller.chat.completions.create(**asked)
    return completion


def once(url: str, key: str = "sk-test", timeout: float = 20.0, **fields: Any) -> ChatCompletion:
    """One call through a client of its own."""

    async def run() -> ChatCompletion:
        async with client(url, key, timeout) as caller:
            return await ask(caller, **fields)

    return asyncio.run(run())


def refusal(url: str, **fields: Any) -> openai.APIStatusError:
    """The error that one call gets."""
    with pytest.raises(openai.APIStatusError) as caught:
        once(url, **fields)
    return caught.value


def http(method: str, url: str, body: Any = None, key: str | None = "sk-test") -> tuple[int, Any, dict[str, str]]:
    """Status, body and headers of one plain request; the body is parsed where it is JSON."""

    async def run() -> tuple[int, Any, dict[str, str]]:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=data, headers=headers) as answered,
        ):
            text = await answered.text()
            parsed = json.loads(text) if answered.content_type == "application/json" else text
            return answered.status, parsed, {name.lower(): value for name, value in answered.headers.items()}

    return asyncio.run(run())


def in_flight(server: SimulatedProvider) -> int:
    """Calls in flight, from the health page."""
    with urllib.request.urlopen(f"{server.root_url}/health") as page:
        found: int = json.load(page)["in_flight"]
    return found


def until(true: Callable[[], bool]) -> None:
    """Look until it is true; the test's own time limit ends a wait in vain."""
    while not true():
        pass


def nano(completion: ChatCompletion) -> int:
    """The cost that an answer tells, in nano-dollars."""
    assert completion.usage is not None
    cost = Decimal(str(completion.usage.model_dump()["cost"])) * 10**9
    assert cost == int(cost)
    return int(cost)


def test_an_answer_has_the_shape_and_the_cost_of_openrouter() -> None:
    """Id, model, text, finish reason and usage; the told cost is the bill to the nano-dollar."""
    with provider() as server:
        completion = once(server.base_url)
        assert completion.id.startswith("gen-")
        assert completion.model == "m"
        assert completion.choices[0].finish_reason == "stop"
        assert json.loads(completion.choices[0].message.content or "")["question"] == "Quiz"
        used = completion.usage
        assert used is not None
        assert used.total_tokens == used.prompt_tokens + used.completion_tokens
        bill = server.bill()
        assert bill["cost_nano_usd"] == nano(completion)
        assert bill["cost_nano_usd"] == used.prompt_tokens * 1000 + used.completion_tokens * 5000
        assert Decimal(str(bill["cost_usd"])) * 10**9 == bill["cost_nano_usd"]
        assert http("GET", f"{server.root_url}/bill", key=None)[1] == bill


def test_the_same_request_gets_the_same_text_in_any_order() -> None:
    """Two providers of one seed give equal texts to equal requests, however they are mixed."""

    async def texts(url: str, prompts: list[str]) -> dict[str, str | None]:
        async with client(url) as caller:
            answers = await asyncio.gather(*(ask(caller, prompt) for prompt in prompts))
        pairs = zip(prompts, answers, strict=True)
        return {prompt: completion.choices[0].message.content for prompt, completion in pairs}

    prompts = [f"Domanda {n}" for n in range(20)]
    with provider(seed=5) as one, provider(seed=5) as two, provider(seed=6) as other:
        first = asyncio.run(texts(one.base_url, prompts))
        assert asyncio.run(texts(two.base_url, prompts[::-1])) == first
        assert asyncio.run(texts(other.base_url, prompts)) != first


def test_the_books_agree_with_what_the_callers_were_told() -> None:
    """Over many calls with faults and a limit, told costs, bill and audit are one and the same."""
    faults = {"500": 0.1, "empty": 0.1, "refused": 0.1, "length": 0.1, "error_in_200": 0.1, "rate_limited": 0.1}

    async def run(url: str) -> tuple[int, int, int]:
        told = answered = limited = 0
        async with client(url) as caller:
            for reply in await asyncio.gather(*(ask(caller, str(n)) for n in range(200)), return_exceptions=True):
                limited += isinstance(reply, openai.RateLimitError)
                if isinstance(reply, ChatCompletion) and reply.choices:
                    told, answered = told + nano(reply), answered + (nano(reply) > 0)
        return told, answered, limited

    limits = Limits(concurrent_requests=150, tokens_per_minute=200_000)
    with provider(faults=faults, limits=limits, latency_seconds=0.05) as server:
        told, answered, limited = asyncio.run(run(server.base_url))
        bill, audit = server.bill(), server.audit()
        lines = http("GET", f"{server.root_url}/audit")[1].splitlines()
    assert told > 0
    assert limited > 0
    assert bill["cost_nano_usd"] == told == sum(call.cost_nano_usd for call in audit)
    assert bill["billed_calls"] == answered == sum(call.billed for call in audit)
    assert bill["refused_429"] == limited == sum(call.status == 429 for call in audit)
    assert bill["calls"] == len(audit) == len(lines) == 200
    assert [json.loads(line) for line in lines] == [call._asdict() for call in audit]
    assert bill["by_model"]["m"]["cost_nano_usd"] == told
    assert max(call.in_flight for call in audit) <= 150


@pytest.mark.parametrize("status", [500, 502, 503, 529, 524, 408])
def test_a_failing_provider_is_a_status(status: int) -> None:
    """Each status comes with an error in each provider's own shape, and costs nothing."""
    with provider(faults={str(status): 1.0}) as server:
        error = refusal(server.base_url)
        assert error.status_code == status
        assert isinstance(error.body, dict)
        assert error.body["code"] == status
        assert error.body["metadata"]["error_type"]
        error = refusal(server.openai_base_url)
        assert error.status_code == status
        assert isinstance(error.body, dict)
        assert set(error.body) == {"message", "type", "param", "code"}
        assert server.bill()["cost_nano_usd"] == 0


def test_a_timeout_hangs_until_the_caller_leaves() -> None:
    """The caller's own patience ends the call; it is not billed and its slot is free again."""
    with provider(faults={"timeout": 1.0}, limits=Limits(concurrent_requests=1)) as server:
        with pytest.raises(openai.APITimeoutError):
            once(server.base_url, timeout=0.3)
        # The client knows that it has left before the server does.
        until(lambda: in_flight(server) == 0)
        (call,) = server.audit()
        assert (call.fault, call.status, call.cost_nano_usd, call.left) == ("timeout", 499, 0, True)


def test_a_caller_who_leaves_early_pays() -> None:
    """A call that is given up before its answer is on the bill as one whose caller left."""
    with provider(latency_seconds=60.0, latency_sigma=0.0) as server:
        with pytest.raises(openai.APITimeoutError):
            once(server.base_url, timeout=0.3)
        until(lambda: bool(server.audit()))
        bill = server.bill()
        assert bill["left_calls"] == bill["billed_calls"] == 1
        assert bill["left_cost_nano_usd"] == bill["cost_nano_usd"] > 0


def test_a_reset_closes_the_connection_without_an_answer() -> None:
    """The client sees a lost connection and no status; the call is not billed."""
    with provider(faults={"reset": 1.0}) as server:
        with pytest.raises(openai.APIConnectionError):
            once(server.base_url)
        with pytest.raises(aiohttp.ClientOSError) as caught:
            http("POST", f"{server.base_url}/chat/completions", ASKED)
        assert caught.value.errno == errno.ECONNRESET
        for call in server.audit():
            assert (call.fault, call.status, call.cost_nano_usd) == ("reset", None, 0)
        assert len(server.audit()) == 2


def test_an_error_within_status_200_has_no_choices() -> None:
    """The client raises nothing: there are just no choices, and an error with its type in their place."""
    with provider(faults={"error_in_200": 1.0}) as server:
        completion = once(server.base_url)
        assert completion.choices is None
        assert completion.model_dump()["error"]["metadata"]["error_type"] == "provider_unavailable"
        assert server.bill()["billed_calls"] == 0


def test_spoilt_answers_are_seen_as_documented() -> None:
    """Refused, length, malformed, invalid and empty each show in finish reason, refusal and text."""
    with provider() as server:
        whole = once(server.base_url).choices[0].message.content or ""

        def spoilt(fault: str) -> ChatCompletion:
            server.control(faults={fault: 1.0})
            return once(server.base_url)

        refused = spoilt("refused").choices[0]
        assert refused.finish_reason == "content_filter"
        assert refused.message.content is None
        assert refused.message.refusal

        cut = spoilt("length").choices[0]
        assert cut.finish_reason == "length"
        assert whole.startswith(cut.message.content or "?")

        broken = spoilt("malformed").choices[0]
        assert broken.finish_reason == "stop"
        with pytest.raises(json.JSONDecodeError):
            json.loads(broken.message.content or "")

        assert set(json.loads(spoilt("invalid").choices[0].message.content or "")) == {"answer"}

        empty = spoilt("empty")
        assert empty.choices[0].message.content == ""
        assert empty.choices[0].finish_reason is None
        assert nano(empty) == 0
        assert server.bill()["billed_calls"] == 5


def test_no_credit_is_402_or_a_quota() -> None:
    """OpenRouter says 402 payment_required, OpenAI 429 insufficient_quota without a time to wait."""
    with provider(faults={"402": 1.0}) as server:
        error = refusal(server.base_url)
        assert error.status_code == 402
        assert isinstance(error.body, dict)
        assert error.body["metadata"]["error_type"] == "payment_required"
        error = refusal(server.openai_base_url)
        assert (error.status_code, error.code, error.type) == (429, "insufficient_quota", "insufficient_quota")
        assert "retry-after" not in error.response.headers
        assert server.bill()["refused_429"] == 0


def test_a_429_can_come_without_a_limit() -> None:
    """The fault rate_limited is a 429 like any other, and the audit knows better."""
    with provider(faults={"rate_limited": 1.0}) as server:
        error = refusal(server.base_url)
        assert isinstance(error, openai.RateLimitError)
        assert error.response.headers["retry-after"] == "1"
        assert server.audit()[0].refused_by == "fault"


@pytest.mark.parametrize("url", ["base_url", "openai_base_url"])
def test_a_key_is_needed(url: str) -> None:
    """No key, an empty one, an invalid one and the fault 401 are refused in each provider's own words."""
    with provider() as server:
        address = f"{getattr(server, url)}/chat/completions"
        for key in (None, "", "sk-invalid-1"):
            status, body, _ = http("POST", address, {"model": "m"}, key=key)
            assert status == 401
            assert body["error"]["code"] == (401 if url == "base_url" else "invalid_api_key")
        assert isinstance(refusal(getattr(server, url), key="sk-invalid"), openai.AuthenticationError)
        server.control(faults={"401": 1.0})
        assert isinstance(refusal(getattr(server, url)), openai.AuthenticationError)
        assert server.bill()["cost_nano_usd"] == 0


def test_the_request_limit_refuses_with_a_time_to_wait() -> None:
    """The second request within the same second is refused, in both flavours, and debits nothing."""
    limits = Limits(requests_per_minute=1)
    with provider(limits=limits, burst_seconds_requests=60.0, retry_after="decimal") as server:
        once(server.base_url)
        error = refusal(server.base_url)
        assert isinstance(error, openai.RateLimitError)
        assert 0 < float(error.response.headers["retry-after"]) <= 60.002
        assert isinstance(error.body, dict)
        assert error.body["metadata"]["error_type"] == "rate_limit_exceeded"
        assert "requests_per_minute 1," in error.body["metadata"]["raw"]
        error = refusal(server.openai_base_url)
        assert (error.code, error.type) == ("rate_limit_exceeded", "requests")
        headers = error.response.headers
        assert float(headers["retry-after-ms"]) == pytest.approx(float(headers["retry-after"]) * 1000)
        assert headers["x-ratelimit-limit-requests"] == "1"
        assert [call.refused_by for call in server.audit()] == [None, *["requests_per_minute"] * 2]
        assert server.audit()[1].retry_after is not None


def test_the_token_limit_refuses_by_the_providers_own_counting() -> None:
    """Reserved counts max_tokens at admission, actual the completion that comes."""
    limits = Limits(tokens_per_minute=1_000)
    for counting, refused in (("reserved", True), ("actual", False)):
        with provider(limits=limits, burst_seconds_tokens=60.0, token_counting=counting) as server:
            once(server.base_url, max_tokens=600)
            if not refused:
                once(server.base_url, max_tokens=600)
                continue
            error = refusal(server.openai_base_url, max_tokens=600)
            assert (error.code, error.type) == ("rate_limit_exceeded", "tokens")
            assert int(error.response.headers["retry-after"]) >= 1
            assert server.audit()[-1].refused_by == "tokens_per_minute"


def test_the_concurrency_limit_refuses_the_call_too_many() -> None:
    """While two calls are in flight a third is refused; when they have ended there is room again."""

    async def run(server: SimulatedProvider) -> None:
        async with client(server.base_url) as caller:
            hanging = [asyncio.create_task(ask(caller)) for _ in range(2)]
            await asyncio.to_thread(until, lambda: in_flight(server) == 2)
            with pytest.raises(openai.RateLimitError):
                await ask(caller)
            for call in hanging:
                call.cancel()
            await asyncio.to_thread(until, lambda: in_flight(server) == 0)
            await asyncio.to_thread(server.control, faults={})
            await ask(caller)

    with provider(limits=Limits(concurrent_requests=2), faults={"timeout": 1.0}) as server:
        asyncio.run(run(server))
        assert [call.refused_by for call in server.audit()] == ["concurrent_requests", None, None, None]
        assert server.audit()[0].in_flight == 2


def test_limits_stand_in_the_headers_of_one_flavour_only() -> None:
    """OpenAI tells limits with every answer and no cost; OpenRouter the cost and no limits."""
    limits = Limits(requests_per_minute=600, tokens_per_minute=60_000)
    with provider(limits=limits) as server:
        _, body, headers = http("POST", f"{server.openai_base_url}/chat/completions", ASKED)
        assert "cost" not in body["usage"]
        assert headers["x-ratelimit-limit-requests"] == "600"
        assert headers["x-ratelimit-limit-tokens"] == "60000"
        assert int(headers["x-ratelimit-remaining-requests"]) <= 10
        assert int(headers["x-ratelimit-remaining-tokens"]) <= 6_000
        assert headers["x-ratelimit-reset-requests"].endswith("ms")
        assert headers["x-ratelimit-reset-tokens"].endswith("ms")
        _, body, headers = http("POST", f"{server.base_url}/chat/completions", ASKED)
        assert body["usage"]["cost"] > 0
        assert not [name for name in headers if name.startswith("x-ratelimit")]


def test_the_next_model_answers_for_one_that_is_down() -> None:
    """The answer names the model that gave it, and the bill has it; with all down it is 503."""
    with provider(down=("m",)) as server:
        assert once(server.base_url, extra_body={"models": ["m", "n"]}).model == "n"
        assert set(server.bill()["by_model"]) == {"n"}
        assert refusal(server.base_url).status_code == 503
        server.control(down=[])
        assert once(server.base_url, extra_body={"models": ["m", "n"]}).model == "m"


def test_a_model_without_a_price_does_not_exist() -> None:
    """OpenRouter says 400, OpenAI 404."""
    with provider() as server:
        assert refusal(server.base_url, model="other").status_code == 400
        error = refusal(server.openai_base_url, model="other")
        assert (error.status_code, error.code) == (404, "model_not_found")


def dearer(**bounds: Any) -> dict[str, Any]:
    """What the OpenRouter flavour is asked for with this bound on its price."""
    return {"provider": {"require_parameters": True, "max_price": bounds}}


@pytest.mark.parametrize(
    ("bounds", "served"),
    [
        ({}, True),
        ({"prompt": None}, True),
        ({"prompt": 1, "completion": 5}, True),
        ({"prompt": 1.0, "completion": 5.0}, True),
        ({"prompt": 0.999, "completion": 5}, False),
        ({"prompt": 1, "completion": 4.999}, False),
        ({"completion": 0}, False),
        # Its cache costs 1.25 to write, which is not asked.
        ({"prompt": 1, "request": 0}, True),
    ],
)
def test_a_bound_on_the_price(bounds: dict[str, Any], served: bool) -> None:
    """OpenRouter serves no call that costs more than `provider.max_price`, and OpenAI knows no such field."""
    with provider() as server:
        if served:
            once(server.base_url, extra_body=dearer(**bounds))
        else:
            error = refusal(server.base_url, extra_body=dearer(**bounds))
            assert (error.status_code, server.bill()["cost_nano_usd"]) == (404, 0)
            assert isinstance(error.body, dict)
            assert error.body["message"].startswith("No endpoints found for m")
            assert error.body["metadata"]["error_type"] == "constraint_filtered"
        once(server.openai_base_url, extra_body=dearer(**bounds))


def test_the_next_model_answers_for_one_that_is_too_dear() -> None:
    """A model above the bound is passed over; with all of them above it, the call is refused."""
    cheap = PRICE.model_copy(update={"input": Decimal("0.5")})
    with SimulatedProvider(ProviderSettings(prices={"m": PRICE, "n": cheap}), answer) as server:
        assert once(server.base_url, extra_body={"models": ["m", "n"], **dearer(prompt=0.5)}).model == "n"
        assert refusal(server.base_url, extra_body={"models": ["m", "n"], **dearer(prompt=0.1)}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        (b"{", "not JSON"),
        ({"provider": "cheap"}, "provider"),
        ({"provider": {"max_price": 3}}, "max_price"),
        ({"provider": {"max_price": {"prompt": "1"}}}, "max_price.prompt"),
        ({"provider": {"max_price": {"completion": -1}}}, "max_price.completion"),
        ({"provider": {"max_price": {"prompt": True}}}, "max_price.prompt"),
        ({"provider": {"max_price": {"prompt": float("nan")}}}, "max_price.prompt"),
        ({"provider": {"max_price": {"prompt": float("inf")}}}, "max_price.prompt"),
        (b"[]", "not a JSON object"),
        ({"model": None}, "model"),
        ({"models": "m"}, "models"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "poet", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "surrogate"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stream": True}, "stream"),
        ({"n": 2}, "n:"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
    ],
)
def test_a_request_that_cannot_be_used_is_400(fields: Any, part: str) -> None:
    """One sentence names the field, in both flavours."""
    asked = {**ASKED, **fields} if isinstance(fields, dict) else fields
    with provider() as server:
        for url in (server.base_url, server.openai_base_url):
            status, body, _ = http("POST", f"{url}/chat/completions", asked)
            assert status == 400
            assert part in body["error"]["message"]
            assert body["error"]["message"].endswith(".")


def test_control_changes_it_while_it_runs() -> None:
    """Limits by name and by model, faults and latency change from the next call on; nonsense changes nothing."""
    with provider(limits=Limits(concurrent_requests=5)) as server:
        control = f"{server.root_url}/control"
        status, now, _ = http("POST", control, {"limits": {"requests_per_minute": 6000}, "faults": {"500": 1}})
        assert status == 200
        assert now["limits"]["requests_per_minute"] == 6000
        assert now["limits"]["concurrent_requests"] == 5
        assert refusal(server.base_url).status_code == 500
        server.control(faults={}, model_limits={"m": {"requests_per_minute": 1}}, retry_after="none")
        for _ in range(2):
            once(server.base_url, model="n")
        # What was left of the old limit's burst is one request at most.
        once(server.base_url)
        error = refusal(server.base_url)
        assert isinstance(error, openai.RateLimitError)
        assert "retry-after" not in error.response.headers

        for wrong, part in (
            ({"port": 1}, "port"),
            ({"faults": {"teapot": 1}}, "teapot"),
            ({"latency_seconds": -1}, "latency_seconds"),
            ({"limits": 3}, "limits"),
            ({"limits": {"rpm": 3}}, "limits.rpm"),
            (b"no", "not JSON"),
        ):
            status, body, _ = http("POST", control, wrong)
            assert status == 400
            assert part in body["error"]["message"]
        with pytest.raises(ControlError, match="port"):
            server.control(port=1)


def test_openrouters_other_pages() -> None:
    """Models with prices as strings for one token, a generation by its id, and the use of the key."""
    with provider() as server:
        completion = once(server.base_url)
        _, models, _ = http("GET", f"{server.base_url}/models", key=None)
        assert [model["id"] for model in models["data"]] == ["m", "n"]
        pricing = models["data"][0]["pricing"]
        assert Decimal(pricing["prompt"]) * 10**6 == PRICE.input
        assert Decimal(pricing["completion"]) * 10**6 == PRICE.output
        assert Decimal(pricing["input_cache_read"]) * 10**6 == PRICE.cached_input
        assert Decimal(pricing["input_cache_write"]) * 10**6 == PRICE.cache_write
        assert Decimal(pricing["request"]) == 0
        assert (models["total_count"], models["links"]) == (2, {"next": None})
        assert {"context_length", "architecture", "top_provider", "supported_parameters"} <= set(models["data"][0])
        _, plain, _ = http("GET", f"{server.openai_base_url}/models")
        assert [(model["id"], model["object"]) for model in plain["data"]] == [("m", "model"), ("n", "model")]
        assert "pricing" not in plain["data"][0]
        _, generation, _ = http("GET", f"{server.base_url}/generation?id={completion.id}")
        assert Decimal(str(generation["data"]["total_cost"])) * 10**9 == nano(completion)
        assert http("GET", f"{server.base_url}/generation?id=gen-0")[0] == 404
        assert http("GET", f"{server.base_url}/generation?id={completion.id}", key=None)[0] == 401
        _, key, _ = http("GET", f"{server.base_url}/key")
        assert Decimal(str(key["data"]["usage"])) * 10**9 == nano(completion)
        assert http("GET", f"{server.base_url}/key", key="sk-invalid")[0] == 401


def test_books_outlive_the_server_and_stop_is_quick_with_calls_in_flight(tmp_path: Path) -> None:
    """Stopping ends what is in flight, writes the audit, and leaves bill and audit readable."""
    path = tmp_path / "audit.jsonl"

    async def leave_one_hanging(server: SimulatedProvider) -> None:
        async with client(server.base_url) as caller:
            hanging = asyncio.create_task(ask(caller))
            await asyncio.to_thread(until, lambda: in_flight(server) == 1)
            await asyncio.to_thread(server.stop)
            with pytest.raises(openai.APIConnectionError):
                await hanging

    server = provider(faults={"timeout": 1.0}, audit_path=path).start()
    asyncio.run(leave_one_hanging(server))
    assert server.bill()["calls"] == 1
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [
        call._asdict() for call in server.audit()
    ]
    server.stop()


def test_a_taken_port_is_one_sentence() -> None:
    """The sentence names the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ProviderError, match=f"Port {port} of 127.0.0.1 is taken; .*"):
            provider(port=port).start()
    with pytest.raises(ProviderError, match=r"192\.0\.2\.1:0 cannot be listened on"):
        provider(host="192.0.2.1").start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_where_it_is_and_ends_when_told(number: signal.Signals, tmp_path: Path) -> None:
    """One line with the address on stdout; a signal ends it with code 0, nothing on stderr and the audit written."""
    path = tmp_path / "audit.jsonl"
    program = (
        "from console.provider.server import serve; from console.provider.settings import ProviderSettings;"
        f"serve(ProviderSettings(audit_path={str(path)!r}, faults={{'500': 1.0}}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Simulated provider at http://127.0.0.1:")
        assert refusal(line.split()[-1]).status_code == 500
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, rest, errors) == (0, "", "")
    assert len(path.read_text("utf-8").splitlines()) == 1
