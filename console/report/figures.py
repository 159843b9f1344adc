"""Numbers as people read them in a report."""

from __future__ import annotations

from math import floor, log10


def whole(number: float) -> str:
    """1,234"""
    return f"{number:,.0f}"


def due(number: float) -> str:
    """How many examples are due: 1,234, or 3.4 where they are few."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def short(number: float) -> str:
    """0.35, 12, 1.2k, 3.4M: three digits at most."""
    if number == 0:
        return "0"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{_digits(number / size)}{letter}"
    return _digits(number)


def _digits(number: float) -> str:
    places = max(0, min(6, 1 - floor(log10(abs(number)))))
    text = f"{number:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """The share as a percentage, with more digits where it is close to none or to all."""
    if share == 0:
        return "0%"
    if 0 < share < 0.001:
        return "below 0.1%"
    if 0.999 < share < 1:
        return "above 99.9%"
    return f"{share:.1%}" if share < 0.1 or 0.9 < share < 1 else f"{share:.0%}"


def seconds(value: float) -> str:
    """A latency: 0.35 s, 2.5 s, 130 s."""
    return f"{value:.2f} s" if value < 10 else f"{value:,.1f} s" if value < 100 else f"{value:,.0f} s"


def usd(amount: float) -> str:
    """An axis' money: $12, $0.35, $0.002."""
    return f"${short(amount)}"


def plural(number: int, one: str, many: str = "") -> str:
    """1 example, 2 examples."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
