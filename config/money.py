"""Money: what tokens cost, and whole nano-dollars."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from pydantic import Field

from config.frozen import Frozen

NANO = 1_000_000_000


class Price(Frozen):
    """USD per million tokens."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cached_input: Decimal | None = Field(None, ge=0)
    cache_write: Decimal | None = Field(None, ge=0)

    def nano_usd(self, prompt: int, completion: int, cached: int = 0, written: int = 0) -> int:
        """The exact cost of a call, to the nearest nano-dollar, halves to even.

        `cached` and `written` tokens are part of `prompt`; without a price of their own they cost what others do.
        """
        plain = prompt - cached - written
        total = (
            plain * self.input
            + cached * (self.input if self.cached_input is None else self.cached_input)
            + written * (self.input if self.cache_write is None else self.cache_write)
            + completion * self.output
        )
        # USD per million tokens is 1,000 nano-dollars per token.
        return int((total * 1000).to_integral_value(ROUND_HALF_EVEN))

    def plain_nano_usd(self) -> tuple[int, int]:
        """What a prompt token outside any cache and a completion token cost, in nano-dollars, rounded up."""
        return _nano_per_token(self.input), _nano_per_token(self.output)

    def worst_nano_usd(self) -> tuple[int, int]:
        """The most that one prompt token and one completion token can cost, in nano-dollars, rounded up."""
        dearest = max(self.input, self.cached_input or self.input, self.cache_write or self.input)
        return _nano_per_token(dearest), _nano_per_token(self.output)


def _nano_per_token(usd_per_million: Decimal) -> int:
    return math.ceil(Fraction(usd_per_million) * 1000)


def highest(prices: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The highest price of a prompt token and the highest of a completion token among these, at least one pair."""
    prompt, completion = zip(*prices, strict=True)
    return max(prompt), max(completion)


def to_nano_usd(usd: float | str | Decimal) -> int:
    """Dollars, as a provider or a person writes them, in whole nano-dollars."""
    return int((Decimal(str(usd)) * NANO).to_integral_value(ROUND_HALF_EVEN))


def usd(amount: Decimal | None) -> str:
    """A price as people read it: with cents, and more digits where it has them."""
    if amount is None:
        return "none"
    whole, _, cents = f"{amount.normalize():f}".partition(".")
    return f"${whole}.{cents:0<2}"
