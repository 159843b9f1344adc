"""What OpenRouter's page of models says of the price of one model. Pure: the page is a JSON value that nobody checked.

Source: OpenRouter's Models API, "Pricing Object". Prices are decimal strings in USD per token (`request`: per call);
-1 is a price that varies. `overrides` holds other prices for long prompts or hours of the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from config.models import Model
from config.money import usd
from config.prices import FIELDS, PriceField

#: OpenRouter's names of the prices that the price table has.
NAMES: Mapping[PriceField, str] = {
    "input": "prompt",
    "output": "completion",
    "cached_input": "input_cache_read",
    "cache_write": "input_cache_write",
}
#: Prices that calls with text alone never meet, and that of a cache for an hour, which is never asked for.
_NEVER_MET = frozenset(
    {
        "image", "image_token", "image_output", "audio", "audio_output", "input_audio_cache", "web_search",
        "input_cache_write_1h",
    }
)  # fmt: skip
_OVERRIDES = ("overrides", "pricing_overrides")
_MILLION = 1_000_000
#: USD per token. No model costs more, and a price between 0 and the least is a slip of the decimal point.
_MOST, _LEAST = Decimal("0.01"), Decimal("1e-12")


class Listed(NamedTuple):
    """The prices that the page names, USD per million tokens, and what has to be said of the others, in sentences."""

    price: dict[PriceField, Decimal]
    notes: list[str]


class _NoPrice(ValueError):
    """A value that is no price; the message repeats it."""


def listed(model: Model, entry: Mapping[str, Any]) -> Listed:
    """What the page's entry says of `model`, which has the prices that were known so far."""
    pricing = entry.get("pricing")
    if not isinstance(pricing, dict):
        return Listed({}, [f"{model.name}: the page names no prices for it; the old ones stay."])
    price: dict[PriceField, Decimal] = {}
    notes: list[str] = []
    for field in FIELDS:
        old = getattr(model.price, field)
        try:
            found = per_million(pricing.get(NAMES[field]))
        except _NoPrice as problem:
            notes.append(f"{model.name}: the page says {problem} for {field}, which is no price; {usd(old)} stays.")
            continue
        if found is not None:
            price[field] = found
        elif old is not None:
            notes.append(f"{model.name}: the page names no fixed price of {field}; {usd(old)} stays.")
    notes += _reasoning(model.name, pricing, price)
    notes += _dearest(model.name, [*_overrides(pricing), *_overrides(entry)], price)
    return Listed(price, [*notes, *_others(model.name, pricing)])


def per_million(value: Any) -> Decimal | None:
    """A price per token in USD per million tokens; None where the page does not know it or it varies.

    Raises:
        ValueError: it is no price, negative, or beyond all reason.
    """
    if value is None:
        return None
    amount = _amount(value)
    if amount == -1:
        return None
    if amount != 0 and not _LEAST <= amount <= _MOST:
        raise _NoPrice(_repeated(value))
    # Without zeros at its end, and without the exponent that this would leave: 10, not 1E+1.
    return (amount * _MILLION).normalize() + 0


def _amount(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise _NoPrice(_repeated(value))
    try:
        amount = Decimal(value)
    except ArithmeticError:
        raise _NoPrice(_repeated(value)) from None
    if not amount.is_finite():
        raise _NoPrice(_repeated(value))
    return amount


def _repeated(value: Any) -> str:
    text = repr(str(value) if isinstance(value, Decimal) else value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _reasoning(name: str, pricing: Mapping[str, Any], price: dict[PriceField, Decimal]) -> Iterator[str]:
    """Tokens of reasoning are completion tokens here: where they cost more, all of these are taken to."""
    try:
        reasoning = per_million(pricing.get("internal_reasoning"))
    except _NoPrice as problem:
        yield f"{name}: the page says {problem} for tokens of reasoning, which is no price; it is left out."
        return
    output = price.get("output")
    if reasoning and output is not None and reasoning != output:
        price["output"] = max(output, reasoning)
        yield (
            f"{name}: tokens of reasoning have a price of their own, which the price table cannot express; "
            "it takes the dearer for all of the answer."
        )


def _overrides(table: Mapping[str, Any]) -> Iterator[Any]:
    for key in _OVERRIDES:
        tables = table.get(key)
        yield from tables if isinstance(tables, list) else [tables] if tables else []


def _dearest(name: str, overrides: list[Any], price: dict[PriceField, Decimal]) -> Iterator[str]:
    """Of prices under several conditions the table holds the dearest, so that no budget is passed."""
    conditions: set[str] = set()
    for override in overrides:
        if not isinstance(override, dict):
            conditions.add("what it does not tell")
            continue
        for field in FIELDS:
            if override.get(NAMES[field]) is None:
                continue
            conditions |= {text for key, text in _CONDITIONS.items() if key in override} or {"what it does not tell"}
            try:
                other = per_million(override[NAMES[field]])
            except _NoPrice as problem:
                yield f"{name}: the page says {problem} for {field} at times, which is no price; it is left out."
                continue
            if other is not None and field in price:
                price[field] = max(price[field], other)
    if conditions:
        yield (
            f"{name}: its price depends on {' and '.join(sorted(conditions))}, which the price table cannot express; "
            "it holds the dearest."
        )


_CONDITIONS = {
    "min_prompt_tokens": "the size of the prompt",
    "utc_start": "the time of day",
    "utc_end": "the time of day",
}


def _others(name: str, pricing: Mapping[str, Any]) -> Iterator[str]:
    """What else costs something, and no price per token can say."""
    known = {*NAMES.values(), *_NEVER_MET, *_OVERRIDES, "internal_reasoning"}
    for key, value in pricing.items():
        if key not in known and not _nothing(value):
            what = (
                f"each request costs {_repeated(value)} USD"
                if key == "request"
                else f"the page prices its {_repeated(key)}"
            )
            yield (
                f"{name}: {what} besides its tokens, which the price table cannot express; "
                "a budget's reservations leave it out."
            )


def _nothing(value: Any) -> bool:
    try:
        return not value or _amount(value) == 0
    except _NoPrice:
        return False
