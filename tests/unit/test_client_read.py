"""What a provider's body and headers say, as plain facts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import model_of

from config.models import models
from workers.client import Answer, _from_status, _retry_after, read
from workers.errors import Failure, decide

MODEL = model_of()
HAIKU = "anthropic/claude-haiku-4.5"


def body(**changes: Any) -> dict[str, Any]:
    """A completion as OpenRouter sends it."""
    plain: dict[str, Any] = {
        "id": "gen-1",
        "model": "maker/model",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "{}", "refusal": None}}
        ],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 300},
            "cost": 0.000935,
        },
    }
    return plain | changes


def usage(**changes: Any) -> dict[str, Any]:
    return body(usage={name: value for name, value in (body()["usage"] | changes).items() if value is not ...})


def choice(**changes: Any) -> dict[str, Any]:
    return body(choices=[body()["choices"][0] | changes])


def answer(raw: Any) -> Answer:
    found = read(raw, MODEL, 1.5)
    assert isinstance(found, Answer)
    return found


def failure(raw: Any) -> Failure:
    found = read(raw, MODEL, 1.5)
    assert isinstance(found, Failure)
    return found


def test_an_answer() -> None:
    """All that is kept of a completion."""
    assert read(body(), MODEL, 1.5) == Answer(
        text="{}",
        finish_reason="stop",
        refusal=None,
        answered_by="maker/model",
        generation_id="gen-1",
        prompt_tokens=1000,
        completion_tokens=100,
        cached_tokens=600,
        cost=935_000,
        cost_source="provider",
        latency=1.5,
    )


BY_PRICES = (100 * 1000 + 600 * 100 + 300 * 1250 + 100 * 5000, "prices")


@pytest.mark.parametrize(
    ("raw", "cost"),
    [
        (usage(cost=0.000935), (935_000, "provider")),
        (usage(cost=1), (10**9, "provider")),
        (usage(cost=0), (0, "provider")),
        (usage(cost=0.0), (0, "provider")),
        (usage(cost=1e-9), (1, "provider")),
        (usage(cost=None), BY_PRICES),
        (usage(cost=...), BY_PRICES),
        (usage(cost=-1), BY_PRICES),
        (usage(cost="0.1"), BY_PRICES),
        (usage(cost=True), BY_PRICES),
        (usage(cost=1e300), BY_PRICES),
        (usage(cost=float("nan")), BY_PRICES),
        (usage(cost=..., prompt_tokens_details=None), (1000 * 1000 + 100 * 5000, "prices")),
        (usage(cost=..., prompt_tokens=0, completion_tokens=100), (100 * 5000, "prices")),
        (usage(cost=..., prompt_tokens=..., completion_tokens=...), (None, "unknown")),
        (body(usage=None), (None, "unknown")),
        ({name: value for name, value in body().items() if name != "usage"}, (None, "unknown")),
    ],
)
def test_cost(raw: Any, cost: tuple[int | None, str]) -> None:
    """The provider's own figure counts, zero too; else prices and tokens; with neither the cost is not known."""
    assert (answer(raw).cost, answer(raw).cost_source) == cost


def test_the_price_is_that_of_who_answered(clean: pytest.MonkeyPatch) -> None:
    """An answer of a fallback is priced as the fallback; one of a model not in the file as the model asked for."""
    raw = usage(cost=..., prompt_tokens_details=None)
    prices = models()["openai/gpt-4o"].price
    assert answer(raw | {"model": "openai/gpt-4o"}).cost == prices.nano_usd(1000, 100)
    assert answer(raw | {"model": "maker/model-2026-01"}).cost == MODEL.price.nano_usd(1000, 100)
    assert answer(raw | {"model": None}).answered_by == "maker/model"


@pytest.mark.parametrize(
    ("details", "cached", "cost"),
    [
        (None, 0, 1_500_000),
        ({}, 0, 1_500_000),
        ({"cached_tokens": None}, 0, 1_500_000),
        ({"cached_tokens": 400}, 400, 600_000 + 40_000 + 500_000),
        ({"cached_tokens": 5000}, 1000, 100_000 + 500_000),
        ({"cached_tokens": 400, "cache_write_tokens": 5000}, 400, 40_000 + 750_000 + 500_000),
    ],
)
def test_cached_tokens(details: Any, cached: int, cost: int) -> None:
    """Cached and written tokens are part of the prompt's, never more than them, so no cost falls below zero."""
    found = answer(usage(cost=..., prompt_tokens_details=details))
    assert (found.cached_tokens, found.cost) == (cached, cost)


def test_a_refusal_and_an_empty_answer() -> None:
    """A refusal is kept as such; no content is empty text."""
    refused = answer(choice(message={"content": None, "refusal": "No."}))
    assert (refused.text, refused.refusal) == ("", "No.")
    assert answer(choice(message=None)).text == ""
    assert answer(choice(finish_reason=None)).finish_reason is None


def test_half_a_surrogate_pair() -> None:
    """A text that UTF-8 cannot hold is mended, so that a paid answer can be stored; a whole pair stays."""
    raw = json.loads('{"content": "a\\ud800b \\ud83d\\ude00"}')
    assert answer(choice(message=raw)).text == "a?b 😀"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # Status as the error's code; kind in its metadata.
        (
            {"error": {"code": 429, "message": "m", "metadata": {"error_type": "rate_limit_exceeded"}}},
            Failure(429, kind="rate_limit_exceeded"),
        ),
        # Kind and status beside each other, with what OpenRouter says about trying again.
        (
            {
                "error": {
                    "error_type": "provider_overloaded",
                    "http_status": 503,
                    "message": "m",
                    "availability": {"code": "overloaded", "retryable": True, "retry_after": 7, "fallback_models": []},
                }
            },
            Failure(503, code="overloaded", kind="provider_overloaded", retryable=True, retry_after=7),
        ),
        # In the choice, beside partial content.
        (
            choice(finish_reason="error", error={"code": 502, "metadata": {"error_type": "provider_unavailable"}}),
            Failure(502, kind="provider_unavailable"),
        ),
        (choice(error={"code": 400, "metadata": {"error_type": "refusal"}}), Failure(400, kind="refusal")),
        # At the top, as a stream's last chunk has it.
        (choice(finish_reason="error") | {"error": {"code": 429}}, Failure(429)),
        (choice(finish_reason="error"), Failure(200)),
        # OpenAI's form, under status 200 by a proxy.
        ({"error": {"code": "server_error", "type": "server_error"}}, Failure(200, "server_error", "server_error")),
        # Numbers that are no status, and errors that are no table.
        ({"error": {"code": 1302, "message": "m"}}, Failure(200)),
        ({"error": {"code": 0}}, Failure(200)),
        ({"error": {"code": True}}, Failure(200)),
        ({"error": "overloaded"}, Failure(200)),
        (body(choices=[]), Failure(200)),
        (body(choices=None), Failure(200)),
        (body(choices=[None]), Failure(200)),
        ({}, Failure(200)),
        (None, Failure(200)),
        ([], Failure(200)),
        ("no", Failure(200)),
    ],
)
def test_an_error_in_a_200_body(raw: Any, expected: Failure) -> None:
    """An error is found wherever a provider puts it, with its status, kind and hints."""
    found = failure(raw)
    assert found == Failure(**{**vars(expected), "latency": 1.5})


def status_error(status: int, raw: Any, headers: dict[str, str] | None = None) -> Failure:
    """What an error reply with this body comes to, as the package hands it over."""
    response = httpx2.Response(status, json=raw, headers=headers, request=httpx2.Request("POST", "https://p.example"))
    client = openai.OpenAI(api_key="k", base_url="https://p.example")
    with client:
        return _from_status(client._make_status_error_from_response(response), 1.5)


IN_FLIGHT = {"reason": "in_flight_budget_exhausted", "limit_source": "openrouter_in_flight_budget"}
TOO_HEAVY = {"reason": "weight_exceeds_budget", "limit_source": "openrouter_credits"}
FLAGGED = {"reasons": ["violence"], "flagged_input": "…", "provider_name": "p", "model_slug": "m"}


@pytest.mark.parametrize(
    ("status", "raw", "headers", "expected", "action"),
    [
        (429, {"error": {"code": 429, "metadata": {}}}, {"Retry-After": "3"}, Failure(429, retry_after=3), "again"),
        (
            429,
            {
                "error": {
                    "message": "m",
                    "type": "insufficient_quota",
                    "param": None,
                    "code": "credit_balance_exhausted",
                }
            },
            {},
            Failure(429, "credit_balance_exhausted", "insufficient_quota"),
            "stop",
        ),
        (
            402,
            {"error": {"code": 402, "metadata": IN_FLIGHT}},
            {"Retry-After": "2"},
            Failure(402, "in_flight_budget_exhausted", retry_after=2),
            "again",
        ),
        (402, {"error": {"code": 402, "metadata": TOO_HEAVY}}, {}, Failure(402, "weight_exceeds_budget"), "stop"),
        (
            403,
            {"error": {"code": 403, "metadata": FLAGGED}},
            {},
            Failure(403, kind="content_policy_violation"),
            "reject",
        ),
        (
            403,
            {"error": {"code": 403, "metadata": {"patterns": ["ignore"], "error_type": "permission_denied"}}},
            {},
            Failure(403, kind="content_policy_violation"),
            "reject",
        ),
        (403, {"error": {"code": 403, "message": "Key limit exceeded"}}, {}, Failure(403), "stop"),
        (503, {"error": {"code": 502}}, {}, Failure(503), "again"),
        (500, ["no", "table"], {}, Failure(500), "again"),
        (502, "<html>", {}, Failure(502), "again"),
    ],
)
def test_an_error_status(status: int, raw: Any, headers: dict[str, str], expected: Failure, action: str) -> None:
    """The HTTP status stands; code, kind and Retry-After come from where the providers' references put them."""
    found = status_error(status, raw, headers)
    assert found == Failure(**{**vars(expected), "latency": 1.5})
    assert decide(found).action == action


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({}, None, None),
        ({"retry-after": "7"}, 7, 7),
        ({"retry-after": " 7.5 "}, 7.5, 7.5),
        ({"retry-after": "0"}, 0, 0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7, 7),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=3600), usegmt=True)}, 3000, 3600),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=3600), usegmt=True)}, 0, 0),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 -0000"}, 0, 0),
        ({"retry-after": "-3"}, None, None),
        ({"retry-after": "nan"}, None, None),
        ({"retry-after": "inf"}, None, None),
        ({"retry-after": "soon"}, None, None),
        ({"retry-after": ""}, None, None),
    ],
)
def test_retry_after(headers: dict[str, str], low: float | None, high: float | None) -> None:
    """Seconds, milliseconds and dates are understood; what is no time to wait is as if it were not there."""
    found = _retry_after(headers)
    assert found is None if low is None or high is None else found is not None and low <= found <= high


@given(
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text() | st.from_regex(r"[\w,: +-]{0,30}"))
)
def test_retry_after_never_raises(headers: dict[str, str]) -> None:
    """Whatever a proxy writes there, the wait is none or a time that is not negative."""
    found = _retry_after(headers)
    assert found is None or 0 <= found < 1e12


NAMES = ["error", "choices", "usage", "message", "content", "refusal", "finish_reason", "code", "metadata", "cost"]
NAMES += ["error_type", "availability", "retryable", "retry_after", "http_status", "model", "id", "reason", "type"]
NAMES += ["prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens", "cache_write_tokens"]
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just(10**400)
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)
SHAPED = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"message": JSON}, optional={"finish_reason": JSON, "error": JSON}))},
    optional={"error": JSON, "usage": st.dictionaries(st.sampled_from(NAMES), JSON), "model": JSON, "id": JSON},
)


@given(JSON | SHAPED)
@example({"choices": [{"message": {"content": [{"type": "text"}]}}], "usage": {"cost": 10**400}})
def test_reading_never_raises(raw: Any) -> None:
    """Whatever JSON comes, it is an answer with amounts that can be counted, or a failure that can be decided."""
    found = read(raw, MODEL, 1.5)
    if isinstance(found, Failure):
        assert decide(found).reason
        return
    assert found.text.encode() is not None
    assert 0 <= found.cached_tokens <= found.prompt_tokens < 10**12
    assert 0 <= found.completion_tokens < 10**12
    assert found.cost is None or 0 <= found.cost < 2**63
    json.dumps(vars(found), ensure_ascii=False, allow_nan=False).encode()


@given(st.integers(400, 599), JSON)
def test_an_error_status_with_any_body(status: int, raw: Any) -> None:
    """Whatever body an error status brings, there is a failure with that status and a decision about it."""
    request = httpx2.Request("POST", "https://p.example")
    error = openai.APIStatusError("m", response=httpx2.Response(status, request=request), body=raw)
    found = _from_status(error, 1.5)
    assert found.status == status
    assert decide(found).reason
