"""Refreshed prices: what is read from a provider's page, how it is kept, and which price stands in the end."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import model_of

from config.errors import ModelsError
from config.folders import prices_file
from config.models import Model, load_models, models
from config.prices import FIELDS, Origin, PriceField, Quote, Quoted, read_prices, write_prices
from console.price_page import NAMES, listed, per_million

Write = Callable[[str, str], Path]
HAIKU, GPT = "anthropic/claude-haiku-4.5", "openai/gpt-4o"
PAGE = "https://openrouter.ai/api/v1/models"
DAY = datetime.date(2026, 11, 22)
MODEL = model_of()


def quoted(provider: str = "openrouter", **price: str) -> Quoted:
    """Prices that a page named."""
    return Quoted.model_validate(
        {
            "provider": provider,
            "price": {name: {"usd": usd, "date": DAY, "source": PAGE} for name, usd in price.items()},
        }
    )


# How it is kept.

AMOUNT = st.decimals(0, 10_000)
QUOTE = st.builds(Quote, usd=AMOUNT, date=st.dates(), source=st.text(max_size=9))
QUOTED = st.builds(Quoted, provider=st.text(max_size=9), price=st.dictionaries(st.sampled_from(FIELDS), QUOTE))


@given(st.dictionaries(st.text(max_size=9), QUOTED, max_size=3))
def test_the_file_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, prices: Any) -> None:
    """Prices, days and addresses are read as they were written, to the last digit."""
    path = tmp_path_factory.mktemp("prices") / "new" / "prices.json"
    write_prices(path, prices)
    assert read_prices(path) == prices
    write_prices(path, {})
    assert read_prices(path) == {}
    assert list(path.parent.iterdir()) == [path]


def test_no_file_is_no_prices(tmp_path: Path) -> None:
    """Who never refreshed has the built-in prices."""
    assert read_prices(tmp_path / "prices.json") == {}
    assert load_models(refreshed=tmp_path / "prices.json") == load_models()


GOOD = {"usd": "1", "date": "2026-11-22", "source": PAGE}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"models": {}, "more": 1}',
        b'{"models": {"m": {"provider": "p", "price": {"input": 1}}}}',
        b"[" * 100_000,
        *(
            json.dumps({"models": {"m": {"provider": "p", "price": {"input": GOOD | wrong}}}}).encode()
            for wrong in (
                {"usd": "-1"},
                {"usd": "NaN"},
                {"usd": "Infinity"},
                {"usd": "dear"},
                {"usd": None},
                {"date": "yesterday"},
                {"more": 1},
            )
        ),
        json.dumps({"models": {"m": {"provider": "p", "price": {"inputs": GOOD}}}}).encode(),
    ],
)
def test_a_damaged_file(tmp_path: Path, text: bytes) -> None:
    """One sentence names the file and says what to do; no price is guessed."""
    path = tmp_path / "prices.json"
    path.write_bytes(text)
    for reading in (lambda: read_prices(path), lambda: load_models(refreshed=path)):
        with pytest.raises(ModelsError) as caught:
            reading()
        said = str(caught.value)
        assert said.startswith(f"{path}: damaged (")
        assert said.endswith("); delete it, then write it anew with `genfleet models --refresh`.")
        assert "\n" not in said


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    """A folder in its place, or a file where its folder should be, is said in one sentence; nothing is left behind."""
    folder, file = tmp_path / "prices.json", tmp_path / "file"
    folder.mkdir()
    file.touch()
    with pytest.raises(ModelsError, match=r"prices\.json: cannot be read: .*\.$"):
        read_prices(folder)
    for path in (folder, file / "prices.json"):
        with pytest.raises(ModelsError, match=r"prices\.json: cannot be written: .*; let GENFLEET_DATA name .*\.$"):
            write_prices(path, {HAIKU: quoted(input="1")})
    assert sorted(tmp_path.iterdir()) == [file, folder]
    assert list(folder.iterdir()) == []


# Which price stands.


def laid(tmp_path: Path, prices: dict[str, Quoted], own: str = "") -> dict[str, Model]:
    """The models with these refreshed prices and this file of the user's."""
    write_prices(tmp_path / "prices.json", prices)
    (tmp_path / "own.toml").write_text(own)
    return load_models(tmp_path / "own.toml", tmp_path / "prices.json")


def test_refreshed_prices_lie_between_the_built_in_and_the_users(tmp_path: Path) -> None:
    """A refreshed price replaces the built-in one, the user's replaces both, and each price for itself."""
    prices = {HAIKU: quoted(input="1.1", cache_write="1.375"), "nobody/knows": quoted(input="7")}
    own = f'[models."{HAIKU}"]\nprice = {{ input = 0.9, output = 4 }}\nlimits = {{ requests_per_minute = 3 }}\n'
    before, after, owned = load_models(), laid(tmp_path, prices), laid(tmp_path, prices, own)
    assert set(after) == set(owned) == set(before)
    built_in = before[HAIKU].price
    fresh = {"input": Decimal("1.1"), "cache_write": Decimal("1.375")}
    assert after[HAIKU].price == built_in.model_copy(update=fresh)
    assert owned[HAIKU].price == built_in.model_copy(update=fresh | {"input": Decimal("0.9"), "output": Decimal(4)})
    assert owned[HAIKU].limits.requests_per_minute == 3
    assert {name: one for name, one in after.items() if name != HAIKU} == {
        name: one for name, one in before.items() if name != HAIKU
    }


def test_every_price_says_where_it_is_from(tmp_path: Path) -> None:
    """Built in with its month, a page with its day, or GENFLEET_MODELS: as data and as text."""
    own = f'[models."{HAIKU}"]\nprice = {{ output = 4 }}\n'
    one = laid(tmp_path, {HAIKU: quoted(input="1.1", output="6")}, own)[HAIKU]
    assert one.price_from["input"] == Origin(source=PAGE, date="2026-11-22")
    assert {name: str(origin) for name, origin in one.price_from.items()} == {
        "input": "2026-11-22 from openrouter.ai",
        "output": "GENFLEET_MODELS",
        "cached_input": "built in, November 2026",
        "cache_write": "built in, November 2026",
    }
    assert set(load_models()[GPT].price_from) == {"input", "output", "cached_input"}


def test_prices_of_another_provider_are_left_out(tmp_path: Path) -> None:
    """A model that is called somewhere else now does not cost what it did where it was asked for."""
    moved = '[providers.local]\nbase_url = "http://127.0.0.1:1/v1"\napi_key_env = "K"\n'
    moved += f'[models."{HAIKU}"]\nprovider = "local"\n'
    found = laid(tmp_path, {HAIKU: quoted(input="7"), GPT: quoted("local", input="7")}, moved)
    assert found[HAIKU].price == load_models()[HAIKU].price
    assert found[GPT].price == load_models()[GPT].price


@pytest.mark.parametrize("own", ["models = 3\n", "[models]\nx = 5\n", f'[models."{HAIKU}"]\nprice = 5\n'])
def test_a_users_file_of_another_form(tmp_path: Path, own: str) -> None:
    """What is wrong with the user's file is said as ever, with refreshed prices too."""
    with pytest.raises(ModelsError, match=r"own\.toml"):
        laid(tmp_path, {HAIKU: quoted(input="7")}, own)


def test_the_file_of_the_environment(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GENFLEET_DATA names the folder that holds the prices of this machine."""
    clean.setenv("GENFLEET_DATA", str(tmp_path / "mine"))
    write_prices(prices_file(), {HAIKU: quoted(input="1.1")})
    assert (tmp_path / "mine" / "prices.json").is_file()
    assert models()[HAIKU].price.input == Decimal("1.1")


# What a page says.


def entry(**pricing: Any) -> dict[str, Any]:
    """A model of the page, at a dollar per million tokens in and 5 out where nothing else is said."""
    plain = {"prompt": "0.000001", "completion": "0.000005"} | pricing
    return {"id": MODEL.name, "pricing": {name: value for name, value in plain.items() if value is not ...}}


CACHES = {"input_cache_read": "0.0000001", "input_cache_write": "0.00000125"}


def test_a_model_of_the_page() -> None:
    """Prices for a token become prices for a million, to the last digit, and what is never met is passed over."""
    others = {"request": "0", "image": "0.0036", "web_search": "0.01", "audio": "0.00004", "discount": 0}
    others |= {"internal_reasoning": "0", "input_cache_write_1h": "0.000002", "overrides": []}
    price, notes = listed(MODEL, entry(**CACHES, **others))
    assert price == {
        "input": Decimal(1),
        "output": Decimal(5),
        "cached_input": Decimal("0.1"),
        "cache_write": Decimal("1.25"),
    }
    assert notes == []
    assert listed(MODEL, entry(**CACHES, prompt="0.0000000833333333333333"))[0]["input"] == Decimal(
        "0.0833333333333333"
    )
    assert str(listed(MODEL, entry(prompt="0.00001"))[0]["input"]) == "10"
    assert listed(MODEL, entry(**CACHES, prompt="0", completion=0))[0]["output"] == 0


@pytest.mark.parametrize("value", ["-1", -1, None, ...])
@pytest.mark.parametrize("field", FIELDS)
def test_a_price_that_varies(field: PriceField, value: Any) -> None:
    """A price that is -1 or not there leaves the old one, which is said; the others are taken."""
    price, notes = listed(MODEL, entry(**CACHES | {NAMES[field]: value}))
    assert set(price) == {*FIELDS} - {field}
    old = {"input": "$1.00", "output": "$5.00", "cached_input": "$0.10", "cache_write": "$1.25"}[field]
    assert notes == [f"maker/model: the page names no fixed price of {field}; {old} stays."]


def test_a_cache_without_prices() -> None:
    """Where neither the table nor the page has a price of the cache, there is nothing to say."""
    bare = model_of(price={"input": "1", "output": "5"})
    assert listed(bare, entry())[1] == []


@pytest.mark.parametrize(
    "value",
    ["-0.000001", "-2", "0.02", "2.5", "1e999999999", "1e-13", "NaN", "Infinity", "dear", "", True, [], {}, 0.5],
)
@pytest.mark.parametrize("field", FIELDS)
def test_a_price_that_cannot_be(field: PriceField, value: Any) -> None:
    """A negative or absurd price is refused with a sentence that repeats it; the others are taken."""
    price, (note,) = listed(MODEL, entry(**CACHES | {NAMES[field]: value}))
    assert set(price) == {*FIELDS} - {field}
    assert note.startswith(f"maker/model: the page says {value!r} for {field}, which is no price; $")
    assert note.endswith(" stays.")


def test_a_long_value_is_not_repeated_whole() -> None:
    """What a page writes where a price belongs is cut where it is long."""
    (note,) = listed(MODEL, entry(**CACHES, prompt="x" * 10_000))[1]
    assert len(note) < 200


@pytest.mark.parametrize("odd", [{}, {"pricing": None}, {"pricing": "free"}, {"pricing": []}])
def test_a_model_without_prices(odd: Any) -> None:
    """An entry that names no prices changes none."""
    assert listed(MODEL, odd) == ({}, ["maker/model: the page names no prices for it; the old ones stay."])


def test_a_price_for_each_request() -> None:
    """What each request costs besides its tokens cannot be expressed, and is said with the model's name."""
    price, (note,) = listed(MODEL, entry(**CACHES, request="0.005"))
    assert price["input"] == 1
    assert note == (
        "maker/model: each request costs '0.005' USD besides its tokens, which the price table cannot express; "
        "a budget's reservations leave it out."
    )


@pytest.mark.parametrize("value", ["0.001", 1, -1, "dear", {"a": 1}])
def test_a_price_of_something_new(value: Any) -> None:
    """Whatever else has a price that is not zero is named."""
    (note,) = listed(MODEL, entry(**CACHES, input_smell=value))[1]
    assert note.startswith("maker/model: the page prices its 'input_smell' besides its tokens")


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ([{"min_prompt_tokens": 100_000, "prompt": "0.000002"}], "the size of the prompt"),
        ([{"utc_start": 30, "utc_end": 1630, "prompt": "0.000002", "completion": "0.000001"}], "the time of day"),
        (
            [{"min_prompt_tokens": 1, "prompt": "0.000002"}, {"utc_start": 0, "completion": "0.000004"}],
            "the size of the prompt and the time of day",
        ),
        ([{"when": "raining", "prompt": "0.000002"}], "what it does not tell"),
        ({"prompt": "0.000002"}, "what it does not tell"),
    ],
)
def test_prices_under_conditions(overrides: Any, why: str) -> None:
    """Of prices that depend on something the dearest is taken, and what they depend on is said."""
    sentence = f"maker/model: its price depends on {why}, which the price table cannot express; it holds the dearest."
    for page in (entry(**CACHES, overrides=overrides), entry(**CACHES) | {"pricing_overrides": overrides}):
        price, notes = listed(MODEL, page)
        assert (price["input"], price["output"], notes) == (2, 5, [sentence])


def test_odd_conditions() -> None:
    """Conditions on what is never met say nothing, odd ones are named, and a price that cannot be is left out."""
    assert listed(MODEL, entry(**CACHES, overrides=[{"min_prompt_tokens": 5, "image": "1"}]))[1] == []
    (note,) = listed(MODEL, entry(**CACHES, overrides=["dearer"]))[1]
    assert "depends on what it does not tell" in note
    price, notes = listed(MODEL, entry(**CACHES, overrides=[{"min_prompt_tokens": 5, "prompt": "-7"}]))
    assert price["input"] == 1
    assert notes[0].startswith("maker/model: the page says '-7' for input at times, which is no price")


def test_tokens_of_reasoning_with_a_price_of_their_own() -> None:
    """Where they cost more than the rest of an answer, the whole answer is taken to; the same price needs no word."""
    assert listed(MODEL, entry(**CACHES, internal_reasoning="0.000005"))[1] == []
    for reasoning, output in (("0.000009", 9), ("0.000001", 5)):
        price, (note,) = listed(MODEL, entry(**CACHES, internal_reasoning=reasoning))
        assert price["output"] == output
        assert note.startswith("maker/model: tokens of reasoning have a price of their own")
    (note,) = listed(MODEL, entry(**CACHES, internal_reasoning="x"))[1]
    assert note.endswith("for tokens of reasoning, which is no price; it is left out.")


@given(st.decimals("0.000000000001", "0.01", places=24))
def test_prices_per_million_are_exact(price: Decimal) -> None:
    """A price for a token, written in any way, is the same price for a million of them."""
    for written in (f"{price:f}", f"{price:e}", price):
        assert Fraction(per_million(written) or 0) == Fraction(price) * 10**6


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals() | st.just("-1")
KEYS = [*NAMES.values(), "request", "overrides", "internal_reasoning", "min_prompt_tokens", "utc_start", "pricing"]
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["pricing", "pricing_overrides", "id"]), JSON))
def test_reading_a_page_never_raises(page: dict[str, Any]) -> None:
    """Whatever a page holds, every price that is taken can be one, and every sentence names the model."""
    price, notes = listed(MODEL, page)
    assert all(0 <= amount <= 10_000 for amount in price.values())
    assert all(note.startswith("maker/model: ") and note.endswith(".") and "\n" not in note for note in notes)
    assert Quoted.model_validate({"provider": "p", "price": {n: GOOD | {"usd": a} for n, a in price.items()}})
