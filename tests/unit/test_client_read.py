"""What a provider's body and headers say, as plain facts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import model_of

from config.models import models
from workers.client import Answer, _from_status, _retry_after, _told, read
from workers.errors import Failure, Told, decide
from workers.usage import Tokens, cost_of

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
        cache_write_tokens=300,
        told=None,
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


WITHOUT_COST = usage(cost=..., prompt_tokens_details=None)


def priced(name: str | None, /, *fallbacks: str, **asked: Any) -> int | None:
    """The cost of 1,000 tokens in and 100 out of an answer under that name, at the prices of the models file."""
    found = read(WITHOUT_COST | {"model": name}, model_of(**asked), 1.5, [models()[one] for one in fallbacks])
    assert isinstance(found, Answer)
    assert (found.answered_by, found.cost_source) == (name or "maker/model", "prices")
    return found.cost


MAKERS, HAIKUS, GPTS = 1_500_000, 1_200_000, 3_500_000  # of maker/model, claude-3.5-haiku and gpt-4o


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        (None, MAKERS),
        ("maker/model", MAKERS),
        ("openai/gpt-4o", GPTS),
        ("anthropic/claude-3.5-haiku", HAIKUS),
        # A day in the name, as the makers write it.
        ("maker/model-2026-01-31", MAKERS),
        ("maker/model-20260131", MAKERS),
        ("maker/model-0131", MAKERS),
        ("maker/model@20260131", MAKERS),
        ("openai/gpt-4o-2024-11-20", GPTS),
        # OpenRouter's permanent name of it.
        ("anthropic/claude-3.5-haiku-20241022", HAIKUS),
        ("anthropic/claude-3-5-haiku-20241022", GPTS),
        ("anthropic/claude-haiku-3.5-20241022", HAIKUS),
        ("Anthropic/Claude-3.5-Haiku", HAIKUS),
        # Other models, which are nobody's dated version: the dearest of those that were asked for.
        ("openai/gpt-4o-mini", GPTS),
        ("openai/gpt-4o-mini-2024-07-18", GPTS),
        ("openai/gpt-4o-2024", GPTS),
        ("maker/model-9999", GPTS),
        ("maker/model-20269999-x", GPTS),
        ("maker/model:free", GPTS),
        ("gpt-4o", GPTS),
        ("", MAKERS),
        ("?" * 5000, GPTS),
    ],
)
def test_the_price_is_that_of_who_answered(clean: pytest.MonkeyPatch, name: str | None, cost: int) -> None:
    """An answer is priced as who gave it, by its name or a dated one; else as the dearest that was asked for."""
    assert priced(name, "anthropic/claude-3.5-haiku", "openai/gpt-4o") == cost


def test_a_dated_version_of_a_variant(clean: pytest.MonkeyPatch) -> None:
    """The variant of a model has its own price, and a day in its name stands before the variant."""
    free = {"name": "maker/model:free", "price": {"input": "0", "output": "0"}}
    assert priced("maker/model-0324:free", "openai/gpt-4o", **free) == 0
    assert priced("maker/model-0324", "openai/gpt-4o", **free) == GPTS


def test_a_model_is_priced_where_it_was_asked_for(clean: pytest.MonkeyPatch, file: Callable[[str, str], Path]) -> None:
    """Two providers may ask other prices for a model of the same name."""
    clean.setenv("GENFLEET_MODELS", str(file("m.toml", "[models.gpt-4o]\nprice = { input = 900 }\n")))
    assert priced("gpt-4o", "openai/gpt-4o") == GPTS
    assert read(WITHOUT_COST | {"model": "gpt-4o-2024-08-06"}, models()["gpt-4o"], 1).cost == 901_000_000  # type: ignore[union-attr]


@given(st.text() | st.from_regex(r"[a-z]{1,8}(/|-)gpt-4o(-[0-9]{4}){0,2}"), st.data())
def test_never_cheaper_than_what_was_asked_for(name: str, data: st.DataObject) -> None:
    """Whoever else answers is not taken to be cheaper than the dearest candidate."""
    asked = [model_of(name=f"m{n}", price={"input": n, "output": n}) for n in data.draw(st.lists(st.integers(0, 9)))]
    tokens = Tokens(1000, 100, 0, 0)
    cost, source = cost_of({}, tokens, f"?{name}", [MODEL, *asked])
    assert (cost, source) == (max(one.price.nano_usd(*tokens) for one in (MODEL, *asked)), "prices")


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


@pytest.mark.parametrize(
    ("told", "tokens"),
    [
        # OpenAI and OpenRouter: part of the prompt.
        ({"prompt_tokens_details": {"cached_tokens": 600}}, (1000, 600, 0)),
        ({"prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 300}}, (1000, 600, 300)),
        ({"prompt_tokens_details": {"cached_tokens": None, "cache_write_tokens": 300}}, (1000, 0, 300)),
        # Anthropic's names, added to the prompt by the server, as its sums tell.
        ({"cache_read_input_tokens": 600, "cache_creation_input_tokens": 300}, (1000, 600, 300)),
        ({"cache_read_input_tokens": 600, "total_tokens": 1100}, (1000, 600, 0)),
        (
            {
                "cache_read_input_tokens": 600,
                "cache_creation_input_tokens": 300,
                "prompt_tokens_details": {"cached_tokens": 600},
                "total_tokens": 1100,
            },
            (1000, 600, 300),
        ),
        # Or beside it.
        ({"cache_read_input_tokens": 600, "total_tokens": 1700}, (1600, 600, 0)),
        ({"cache_creation_input_tokens": 4096}, (5096, 0, 4096)),
        ({"cache_read_input_tokens": 900, "cache_creation_input_tokens": 900}, (2800, 900, 900)),
        ({"cache_read_input_tokens": 900, "prompt_tokens": 0}, (900, 900, 0)),
        # Nonsense.
        ({"cache_read_input_tokens": -1, "cache_creation_input_tokens": "many"}, (1000, 0, 0)),
        ({"prompt_tokens_details": []}, (1000, 0, 0)),
    ],
)
def test_tokens_of_a_cache(told: dict[str, Any], tokens: tuple[int, int, int]) -> None:
    """Tokens read from a cache and written to one are found under either name, and priced as what they are."""
    found = answer(body(usage={"prompt_tokens": 1000, "completion_tokens": 100} | told))
    prompt, cached, written = tokens
    assert (found.prompt_tokens, found.cached_tokens, found.cache_write_tokens) == tokens
    assert found.cost == (prompt - cached - written) * 1000 + cached * 100 + written * 1250 + 100 * 5000


def test_tokens_of_reasoning() -> None:
    """Tokens of reasoning are in the completion's already, and are not counted twice."""
    found = answer(usage(cost=..., completion_tokens_details={"reasoning_tokens": 90}))
    assert (found.completion_tokens, found.cost) == (100, BY_PRICES[0])


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
TOO_SMALL = (
    "This request requires more credits, or fewer max_tokens. You requested up to 16384 tokens, but can only afford "
    "3919. To increase, visit https://openrouter.ai/settings/credits and upgrade to a paid account"
)
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
        (402, {"error": {"code": 402, "message": TOO_SMALL}}, {}, Failure(402, affords=3919), "again"),
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


LIMITS = "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (("500", "30000"), Told(500, 30_000)),
        (("500", None), Told(500, None)),
        ((None, "2.5e6"), Told(None, 2_500_000)),
        ((None, None), None),
        (("0", "0"), None),
        (("0", "30000"), Told(None, 30_000)),
        (("-1", "nan"), None),
        (("inf", "1e300"), None),
        (("", "unlimited"), None),
    ],
)
def test_limits_in_the_headers(values: tuple[str | None, str | None], told: Told | None) -> None:
    """The limits that a provider names come with an answer, with an error in its place, and with a 429."""
    headers = {name: value for name, value in zip(LIMITS, values, strict=True) if value is not None}
    assert _told(headers) == told
    refused = status_error(429, {"error": {"code": "rate_limit_exceeded"}}, headers)
    assert (refused.told, refused.retry_after) == (told, None)
    for raw in (body(), {"error": {"code": 502}}):
        assert read(raw, MODEL, 1.5, told=told).told == told


@given(st.dictionaries(st.sampled_from(LIMITS), st.text() | st.from_regex(r"[0-9.e+-]{0,12}")))
def test_limits_are_such_as_can_be_kept(headers: dict[str, str]) -> None:
    """Whatever a proxy writes there, a limit is a number above zero or not there."""
    told = _told(headers)
    if told is not None:
        found = [limit for limit in (told.requests_per_minute, told.tokens_per_minute) if limit is not None]
        assert found
        assert all(0 < limit <= 1e9 for limit in found)


def _date(seconds: float) -> str:
    """The date that is so many seconds from now, as a header has it."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({}, None, None),
        ({"retry-after": "7"}, 7, 7),
        ({"retry-after": " 7.5 "}, 7.5, 7.5),
        ({"retry-after": "0"}, 0, 0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7, 7),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 -0000"}, 0, 0),
        ({"retry-after": "-3"}, None, None),
        ({"retry-after": "nan"}, None, None),
        ({"retry-after": "inf"}, None, None),
        ({"retry-after": "soon"}, None, None),
        ({"retry-after": ""}, None, None),
    ],
)
def test_retry_after(headers: dict[str, str], low: float | None, high: float | None) -> None:
    """Seconds and milliseconds are understood; what is no time to wait is as if it were not there."""
    found = _retry_after(headers)
    assert found is None if low is None or high is None else found is not None and low <= found <= high


def test_retry_after_a_date() -> None:
    """A date is the time until then; one that has passed is no time."""
    assert 3500 < (_retry_after({"retry-after": _date(3600)}) or 0) <= 3600
    assert _retry_after({"retry-after": _date(-3600)}) == 0


def test_a_date_is_read_by_the_providers_clock() -> None:
    """Where the answer is dated, the wait is between its two dates, whatever this machine's clock shows."""
    assert _retry_after({"retry-after": _date(7260), "date": _date(7200)}) == 60
    assert _retry_after({"retry-after": _date(60), "date": _date(7200)}) == 0
    assert _retry_after({"retry-after": _date(60), "date": "yesterday"}) is None


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text() | st.from_regex(r"[\w,: +-]{0,30}")
    )
)
def test_retry_after_never_raises(headers: dict[str, str]) -> None:
    """Whatever a proxy writes there, the wait is none or a time that is not negative."""
    found = _retry_after(headers)
    assert found is None or 0 <= found < 1e12


NAMES = ["error", "choices", "usage", "message", "content", "refusal", "finish_reason", "code", "metadata", "cost"]
NAMES += ["error_type", "availability", "retryable", "retry_after", "http_status", "model", "id", "reason", "type"]
NAMES += ["cache_read_input_tokens", "cache_creation_input_tokens", "total_tokens"]
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
    assert 0 <= found.cached_tokens + found.cache_write_tokens <= found.prompt_tokens < 10**12
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
