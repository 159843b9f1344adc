"""Models and providers: the user's file over the built-in one, and prices to the nano-dollar."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ModelsError
from config.models import load_models, model, models
from config.money import NANO, Price, to_nano_usd, usd
from config.toml_files import laid_over

Write = Callable[[str, str], Path]
HAIKU = "anthropic/claude-haiku-4.5"

AMOUNT = st.decimals(0, 1000, places=6)
PRICE = st.builds(Price, input=AMOUNT, output=AMOUNT, cached_input=st.none() | AMOUNT, cache_write=st.none() | AMOUNT)
TOKENS = st.integers(0, 200_000)
TABLE = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
TOP = st.dictionaries(st.sampled_from("abcd"), TABLE, max_size=3)


def problems(over: Path) -> list[str]:
    """The lines of the error that this file gives, without its name."""
    with pytest.raises(ModelsError) as caught:
        load_models(over)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{over}: ") for line in lines)
    return [line.removeprefix(f"{over}: ") for line in lines]


def test_built_in_models() -> None:
    """The built-in file is sound, and every price is a decimal as it is written there."""
    found = load_models()
    assert {HAIKU, "gpt-4o"} <= set(found)
    assert found[HAIKU].price.cached_input == Decimal("0.1")
    assert all(one.name == name for name, one in found.items())


def test_the_users_file_lies_over_the_built_in_one(file: Write) -> None:
    """A value in the user's file replaces one value; its neighbours and the other models stay."""
    over = file("mine.toml", f'[models."{HAIKU}"]\nprice = {{ output = 4 }}\nlimits = {{ requests_per_minute = 7 }}\n')
    found, before = load_models(over), load_models()
    assert found[HAIKU].price == before[HAIKU].price.model_copy(update={"output": Decimal(4)})
    assert found[HAIKU].limits.requests_per_minute == 7
    assert found[HAIKU].limits.tokens_per_minute == before[HAIKU].limits.tokens_per_minute
    assert {name: one for name, one in found.items() if name != HAIKU} == {
        name: one for name, one in before.items() if name != HAIKU
    }


def test_a_new_provider_and_model(file: Write) -> None:
    """The user's file can add a provider and a model of it."""
    over = file(
        "mine.toml",
        '[providers.local]\nbase_url = "http://127.0.0.1:8000/v1"\napi_key_env = "LOCAL_KEY"\n'
        '[models.small]\nprovider = "local"\ncontext_window = 8000\nmax_output_tokens = 1000\n'
        "price = { input = 0, output = 0 }\n",
    )
    small = load_models(over)["small"]
    assert (small.provider.name, small.provider.url()) == ("local", "http://127.0.0.1:8000/v1")
    assert (small.limits.requests_per_minute, small.structured_output) == (None, "none")


@given(TOP, TOP)
def test_laying_over(below: dict[str, object], above: dict[str, object]) -> None:
    """Every value of the upper table is there; what it does not name is as it was below."""

    def holds(merged: object, below: object, above: object) -> bool:
        if not (isinstance(below, dict) and isinstance(above, dict)):
            return merged == above
        return isinstance(merged, dict) and all(
            holds(merged[k], below.get(k), above[k]) if k in above else merged[k] == below[k]
            for k in merged.keys() | below.keys() | above.keys()
        )

    assert holds(laid_over(below, above), below, above)
    assert laid_over(below, {}) == below
    assert laid_over(laid_over(below, above), above) == laid_over(below, above)


def test_every_problem_is_named(file: Write) -> None:
    """All problems of the file come at once, each with its place and, for a model, its value."""
    over = file(
        "mine.toml",
        'extra = 1\nprices_as_of = "today"\n[providers.broken]\nbase_url = "host"\n[providers]\nodd = 3\n'
        '[models]\nplain = 5\n[models.lost]\nprovider = "nowhere"\n[models.listed]\nprovider = []\n'
        f'[models."{HAIKU}"]\ncontext_window = 0\nprice = {{ input = -1, output = inf }}\n'
        'sampling = ["warmth"]\nlimits = { requests_per_minute = inf, concurrent_requests = 0 }\nspeed = 9\n',
    )
    found = problems(over)
    starts = [
        '"extra": unknown table.',
        "providers.broken.base_url: String should match",
        "providers.broken.api_key_env: Field required.",
        "providers.odd: must be a table.",
        "models.plain: must be a table.",
        'models."lost".provider: "nowhere" is not one of',
        'models."listed".provider: "[]" is not one of',
        f'models."{HAIKU}".context_window: Input should be greater than 0 (is 0).',
        f'models."{HAIKU}".price.input: Input should be greater than or equal to 0 (is -1',
        f'models."{HAIKU}".price.output: Input should be a finite number (is inf).',
        f'models."{HAIKU}".sampling.0: Input should be ',
        f'models."{HAIKU}".limits.requests_per_minute: Input should be a finite number (is inf).',
        f'models."{HAIKU}".limits.concurrent_requests: Input should be greater than or equal to 1 (is 0).',
        f'models."{HAIKU}".speed: Extra inputs are not permitted (is 9).',
        '"prices_as_of": unknown table.',
    ]
    for start in starts:
        assert [line for line in found if line.startswith(start)], (start, found)
    assert len(found) == len(starts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("providers = 3\n[models]\n", "providers: must hold tables, [providers.NAME]."),
        ("models = []\n", "models: must hold tables, [models.NAME]."),
        ("a = \n", "not a TOML file"),
    ],
)
def test_files_of_another_form(file: Write, text: str, said: str) -> None:
    """A file that is not made of tables is refused with a sentence."""
    assert any(said in line for line in problems(file("mine.toml", text)))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and a file in another encoding are each said to be that."""
    (tmp_path / "latin.toml").write_bytes("a = 'perché'".encode("latin-1"))
    for name, said in (("none.toml", "no such file"), (".", "cannot be read"), ("latin.toml", "not a TOML file")):
        with pytest.raises(ModelsError, match=said):
            load_models(tmp_path / name)


def test_a_key_written_into_the_file_is_not_repeated(file: Write) -> None:
    """Somebody who writes a key where its variable's name belongs does not find it in the error."""
    over = file(
        "mine.toml",
        '[providers.openrouter]\napi_key = "sk-hunter2"\n[providers.openai]\napi_key_env = "sk-hunter2"\n'
        'headers = "Bearer sk-hunter2"\n',
    )
    found = problems(over)
    assert len(found) == 3
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    ("price", "tokens", "nano"),
    [
        # dollars per million: input, output, cached input, cache write; tokens: prompt, completion, cached, written
        (("1", "5", "0.1", "1.25"), (1000, 500, 0, 0), 1_000_000 + 2_500_000),
        (("1", "5", "0.1", "1.25"), (1000, 500, 600, 300), 100_000 + 60_000 + 375_000 + 2_500_000),
        (("1", "5", None, None), (1000, 500, 600, 300), 3_500_000),
        (("1", "5", "0", "0"), (1000, 0, 600, 400), 0),
        (("0.15", "0.6", "0.075", None), (1, 1, 0, 0), 750),
        (("0.000001", "0", None, None), (1499, 0, 0, 0), 1),
        (("0.1", "0.3", None, None), (3, 1, 0, 0), 600),
        (("0", "0", None, None), (10**9, 10**9, 0, 0), 0),
    ],
)
def test_price_of_a_call(
    price: tuple[str, str, str | None, str | None], tokens: tuple[int, int, int, int], nano: int
) -> None:
    """The cost is exact: a thousand nano-dollars a token for each dollar per million."""
    names = ("input", "output", "cached_input", "cache_write")
    assert Price.model_validate(dict(zip(names, price, strict=True))).nano_usd(*tokens) == nano


#: Prices with more digits than a float or the default of Decimal can hold, and of any size.
EXACT = st.decimals(0, 10**6) | st.decimals(0, 10, places=30) | AMOUNT
EXACT_PRICE = st.builds(Price, input=EXACT, output=EXACT, cached_input=st.none() | EXACT, cache_write=st.none() | EXACT)


@given(EXACT_PRICE, st.integers(0, 10**9), st.integers(0, 10**9), st.data())
def test_the_price_of_a_call_is_exact(price: Price, prompt: int, completion: int, data: st.DataObject) -> None:
    """The cost is the sum in fractions, to the nearest nano-dollar, halves to even, whatever the digits."""
    cached = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - cached))
    read = price.input if price.cached_input is None else price.cached_input
    write = price.input if price.cache_write is None else price.cache_write
    dollars = (
        Fraction(price.input) * (prompt - cached - written)
        + Fraction(read) * cached
        + Fraction(write) * written
        + Fraction(price.output) * completion
    ) / 10**6
    nano = price.nano_usd(prompt, completion, cached, written)
    rest = abs(dollars * NANO - nano)
    assert rest < Fraction(1, 2) or (rest == Fraction(1, 2) and nano % 2 == 0)


@given(EXACT_PRICE)
def test_prices_are_rounded_up_where_money_is_reserved(price: Price) -> None:
    """What is reserved for a token is its exact price or less than a nano-dollar above it."""
    dearest = max(p for p in (price.input, price.cached_input, price.cache_write) if p is not None)
    reserved = (*price.worst_nano_usd(), *price.plain_nano_usd())
    for nano, exact in zip(reserved, (dearest, price.output, price.input, price.output), strict=True):
        assert 0 <= nano - Fraction(exact) * 1000 < 1


@given(PRICE, TOKENS, TOKENS, st.data())
def test_no_call_costs_more_than_the_worst_price(
    price: Price, prompt: int, completion: int, data: st.DataObject
) -> None:
    """What is reserved for a call covers its cost, however many of its tokens were cached or written to a cache."""
    cached = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - cached))
    worst_in, worst_out = price.worst_nano_usd()
    assert 0 <= price.nano_usd(prompt, completion, cached, written) <= prompt * worst_in + completion * worst_out


@given(PRICE)
def test_the_worst_price_is_reached(price: Price) -> None:
    """The worst price is no more than the dearest kind of token costs, rounded up."""
    worst_in, worst_out = price.worst_nano_usd()
    million = 1_000_000
    dearest = max(
        price.nano_usd(million, 0), price.nano_usd(million, 0, million), price.nano_usd(million, 0, 0, million)
    )
    assert worst_in * million - dearest < million
    assert worst_out * million - price.nano_usd(0, million) < million


@given(st.integers(0, 10**15))
def test_nano_dollars_and_back(nano: int) -> None:
    """An amount that a provider writes as a JSON number of dollars is read back to the same nano-dollar."""
    assert to_nano_usd(nano / NANO) == nano
    assert to_nano_usd(Decimal(nano) / NANO) == nano


@pytest.mark.parametrize(("usd", "nano"), [(0.1 + 0.2, 300_000_000), ("25", 25 * NANO), (1e-7, 100), (4e-10, 0)])
def test_dollars(usd: float | str, nano: int) -> None:
    """Dollars are taken as they are written, to the nearest nano-dollar."""
    assert to_nano_usd(usd) == nano


def test_address_of_a_provider(clean: pytest.MonkeyPatch) -> None:
    """OPENROUTER_BASE_URL and OPENAI_BASE_URL stand before the file, each for its own provider."""
    clean.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    found = models()
    assert found["gpt-4o"].provider.url() == "http://127.0.0.1:1/v1"
    assert found[HAIKU].provider.url() == "https://openrouter.ai/api/v1"


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1", "$1.00"), ("1.5", "$1.50"), ("0.10", "$0.10"), ("1.375", "$1.375"), ("1E+3", "$1000.00"), ("0", "$0.00")],
)
def test_prices_as_people_read_them(amount: str, text: str) -> None:
    """A price has cents, and more digits where it has them; one that is not there is none."""
    assert usd(Decimal(amount)) == text
    assert usd(None) == "none"


def test_models_file_of_the_environment(clean: pytest.MonkeyPatch, file: Write) -> None:
    """GENFLEET_MODELS names the file that is laid over the built-in one."""
    clean.setenv("GENFLEET_MODELS", str(file("m.toml", "[models.gpt-4o]\nlimits = { requests_per_minute = 3 }\n")))
    assert model("gpt-4o").limits.requests_per_minute == 3


def test_an_unknown_model_is_told_the_known_ones(clean: pytest.MonkeyPatch) -> None:
    """The error names the model that was asked for, those that there are, and the setting."""
    with pytest.raises(ModelsError) as caught:
        model("gpt-9")
    assert all(word in str(caught.value) for word in ('"gpt-9"', HAIKU, "GENFLEET_MODELS"))
