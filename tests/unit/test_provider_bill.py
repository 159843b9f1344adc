"""The simulated provider's money: the bill, the audit and the prompt cache, over a simulation without a network."""

from __future__ import annotations

import itertools
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Limits, Model, Provider
from config.money import Price
from console.provider.audit import Audit, Call
from console.provider.bill import Bill, Usage
from console.provider.flavours import Flavour, Reply
from console.provider.openai_flavour import OPENAI
from console.provider.openrouter_flavour import OPENROUTER
from console.provider.settings import ProviderSettings
from console.provider.simulation import Simulation

PRICE = Price(input=Decimal("1.00"), output=Decimal("5.00"), cached_input=Decimal("0.10"), cache_write=Decimal("1.25"))


def answer(name: str, schema: dict[str, Any] | None, messages: list[dict[str, Any]], rng: random.Random) -> str:
    """Thirty-six bytes, ten tokens."""
    return "x" * 36


def simulation(**settings: Any) -> Simulation:
    """A simulation on a clock that ticks once for every look at it."""
    ticks = itertools.count()
    return Simulation(ProviderSettings(prices={"m": PRICE, "n": PRICE}, **settings), answer, lambda: next(ticks))


def body(system: str = "", model: str = "m", **fields: Any) -> bytes:
    """A request whose system prompt may be cached."""
    part = {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "system", "content": [part]}, {"role": "user", "content": "abcdefghi"}]
    return json.dumps({"model": model, "messages": messages, **fields}).encode()


def call(provider: Simulation, asked: bytes | None = None, flavour: Flavour = OPENROUTER) -> Reply | None:
    """One call from its arrival to its end."""
    arrived = provider.arrive(flavour, "Bearer sk-test", asked or body())
    return arrived if isinstance(arrived, Reply) else provider.finish(arrived)


def usage(reply: Reply | None) -> dict[str, Any]:
    """What the answer says of its tokens and its cost."""
    assert reply is not None
    assert reply.status == 200
    found: dict[str, Any] = reply.body["usage"]
    return found


def ended(**fields: Any) -> Call:
    """A call that has ended."""
    plain = {"number": 1, "id": None, "t": 0.0, "wall": 0.0, "seconds": 0.0, "flavour": "openrouter"}
    return Call(**{**plain, "model": "m", "status": 200, **fields})


def test_a_call_costs_its_tokens_at_their_prices() -> None:
    """Eleven prompt tokens at 1,000 nano-dollars and ten completion tokens at 5,000."""
    provider = simulation()
    told = usage(call(provider))
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (11, 10, 21)
    assert told["cost"] == 61e-6
    assert provider.books.bill.as_dict()["cost_nano_usd"] == 61_000


@given(st.integers(0, 10**14))
def test_the_told_cost_reads_back_to_the_nano_dollar(nano: int) -> None:
    """The cost travels as a float and loses nothing up to 100,000 dollars a call."""
    cost = json.loads(json.dumps(OPENROUTER.usage(Usage(1), nano)["cost"]))
    assert Decimal(str(cost)) * 10**9 == nano


def test_a_long_system_prompt_is_written_once_and_then_read() -> None:
    """The first billed call writes the cache at its price, the others read it, each model for itself."""
    provider = simulation(cache_minimum_tokens=100)
    long = body("s" * 360)
    first, second = usage(call(provider, long)), usage(call(provider, long))
    assert first["prompt_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 100}
    assert second["prompt_tokens_details"] == {"cached_tokens": 100, "cache_write_tokens": 0}
    assert first["prompt_tokens"] == second["prompt_tokens"] == 111
    assert Decimal(str(first["cost"])) * 10**9 == 100 * 1250 + 11 * 1000 + 10 * 5000
    assert Decimal(str(second["cost"])) * 10**9 == 100 * 100 + 11 * 1000 + 10 * 5000
    other = usage(call(provider, body("s" * 360, model="n")))
    assert other["prompt_tokens_details"]["cache_write_tokens"] == 100


def test_short_and_unmarked_prompts_are_not_cached() -> None:
    """Below the minimum, or without cache_control, every token has its full price."""
    provider = simulation(cache_minimum_tokens=101)
    for _ in range(2):
        assert usage(call(provider, body("s" * 360)))["prompt_tokens_details"]["cached_tokens"] == 0
    plain = json.dumps({"model": "m", "messages": [{"role": "system", "content": "s" * 3600}]}).encode()
    for _ in range(2):
        told = usage(call(provider, plain))["prompt_tokens_details"]
        assert told == {"cached_tokens": 0, "cache_write_tokens": 0}


@pytest.mark.parametrize(
    ("fault", "flavour", "cost"),
    [
        ("500", OPENROUTER, 0),
        ("timeout", OPENROUTER, 0),
        ("reset", OPENROUTER, 0),
        ("error_in_200", OPENROUTER, 0),
        ("rate_limited", OPENROUTER, 0),
        ("402", OPENROUTER, 0),
        ("empty", OPENROUTER, 0),
        ("empty", OPENAI, 11_000),
        ("malformed", OPENROUTER, 11_000 + 11 * 5_000),
        ("length", OPENROUTER, 11_000 + 5 * 5_000),
        ("invalid", OPENROUTER, 11_000 + 6 * 5_000),
        ("refused", OPENROUTER, 11_000 + 13 * 5_000),
    ],
)
def test_only_what_the_model_said_is_billed(fault: str, flavour: Flavour, cost: int) -> None:
    """Failures cost nothing; spoilt answers cost what an answer costs."""
    provider = simulation(faults={fault: 1.0})
    call(provider, flavour=flavour)
    bill = provider.books.bill.as_dict()
    assert bill["cost_nano_usd"] == cost
    assert bill["calls"] == 1
    assert bill["billed_calls"] == (cost > 0)
    assert bill["refused_429"] == (fault == "rate_limited")


def test_a_caller_who_leaves_is_billed() -> None:
    """The model has run: the call is on the bill, and told apart."""
    provider = simulation()
    arrived = provider.arrive(OPENROUTER, "Bearer sk-test", body())
    assert not isinstance(arrived, Reply)
    assert provider.in_flight == 1
    provider.leave(arrived)
    assert provider.in_flight == 0
    bill = provider.books.bill.as_dict()
    assert (bill["cost_nano_usd"], bill["left_calls"], bill["left_cost_nano_usd"]) == (61_000, 1, 61_000)
    assert [line.status for line in provider.books.audit] == [499]


@given(st.lists(st.tuples(st.sampled_from("mn"), st.integers(0, 10**9), st.booleans()), max_size=30))
def test_the_bill_is_the_sum_of_its_calls(calls: list[tuple[str, int, bool]]) -> None:
    """The whole, and each model's part, are sums of integers."""
    bill = Bill()
    for model, cost, billed in calls:
        bill.add(ended(model=model, cost_nano_usd=cost if billed else 0, billed=billed, prompt_tokens=3))
    told = bill.as_dict()
    paid = [(model, cost) for model, cost, billed in calls if billed]
    assert told["cost_nano_usd"] == sum(cost for _, cost in paid)
    assert told["calls"] == len(calls)
    assert told["prompt_tokens"] == 3 * len(paid)
    for model, part in told["by_model"].items():
        assert part["cost_nano_usd"] == sum(cost for name, cost in paid if name == model)
        assert part["billed_calls"] == sum(name == model for name, _ in paid)


def test_the_tokens_debited_follow_the_counting() -> None:
    """Actual takes prompt and completion, reserved prompt and max_tokens, a failed call its prompt."""
    for settings, debited in (
        ({}, 21),
        ({"token_counting": "reserved"}, 111),
        ({"model_token_counting": {"m": "reserved"}}, 111),
        ({"faults": {"500": 1.0}}, 11),
    ):
        provider = simulation(**settings)
        call(provider, body(max_tokens=100))
        assert [line.debited_tokens for line in provider.books.audit] == [debited]


def test_the_audit_file_holds_what_memory_has_forgotten(tmp_path: Path) -> None:
    """Memory keeps the last calls, the file all of them, one line of JSON each."""
    path = tmp_path / "new" / "audit.jsonl"
    audit = Audit(path, keep=2)
    for number in range(1, 4):
        audit.add(ended(number=number, id=f"gen-{number}"))
    audit.flush()
    audit.add(ended(number=4))
    audit.flush()
    audit.flush()
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["number"] for line in lines] == [1, 2, 3, 4]
    assert [line.number for line in audit] == [3, 4]
    assert audit.find("gen-1") is None
    assert audit.find("gen-3") == Call(**lines[2])


def test_settings_like_the_models_of_a_fleet() -> None:
    """Prices, limits and token counting are those of the models; a limit that a model leaves out is everybody's."""
    provider = Provider(name="p", base_url="http://localhost", api_key_env="KEY")
    model = Model(
        name="m",
        provider=provider,
        context_window=1000,
        max_output_tokens=100,
        price=PRICE,
        limits=Limits(requests_per_minute=60),
        token_counting="reserved",
    )
    settings = ProviderSettings.like({"m": model}, limits=Limits(concurrent_requests=7), seed=3)
    assert settings.limits_of("m") == Limits(requests_per_minute=60, concurrent_requests=7)
    assert settings.token_counting_of("m") == "reserved"
    assert settings.price_of("m") == PRICE
    assert settings.price_of("other") is None
    assert ProviderSettings().price_of("other") is not None
