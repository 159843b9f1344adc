"""Figures as people read them."""

from __future__ import annotations

import math
from typing import Literal

from console.reading.binding import Binds, Gauge
from console.reading.time_left import Left

#: What each limit is called, and what it says where it binds.
LIMITS: dict[Literal["requests", "tokens", "concurrent"], str] = {
    "requests": "requests",
    "tokens": "tokens",
    "concurrent": "in flight",
}
BINDS: dict[Binds, str] = {
    "requests": "the limit on requests binds",
    "tokens": "the limit on tokens binds",
    "concurrent": "the limit on calls in flight binds",
    "pause": "a pause after a 429 binds",
    "workers": "workers bind: more of them would be faster",
}


def dollars(amount: float) -> str:
    """An amount of money as people read it: cents, or more digits where it is small."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}"


def budget(amount: float) -> str:
    """A round amount that a person gave: no more digits than it has."""
    return f"${amount:,.2f}" if round(amount, 2) == amount else dollars(amount)


def span(seconds: float) -> str:
    """A time as people read it: 45 s, 12 min, 3 h 20 min, 4 d 6 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def rate(per_minute: float) -> str:
    """Examples a minute: three figures are enough."""
    if per_minute == 0 or per_minute >= 100:
        return f"{per_minute:,.0f}/min"
    return f"{per_minute:.1f}/min" if per_minute >= 1 else f"{per_minute * 60:.1f}/h"


def about(seconds: float) -> str:
    """A time that is only known roughly, in one unit: 45 s, 2.4 min, 35 min, 3.2 h, 2.1 d."""
    for size, mark in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            figure = seconds / size
            return f"{figure:.0f} {mark}" if mark == "min" and figure >= 9.95 else f"{figure:.1f} {mark}"
    return f"{seconds:.0f} s"


def left(time: Left) -> str:
    """A time left with its range: 12 min (10 to 15 min)."""
    return f"{about(time.likely)} ({spread(time)})"


def spread(time: Left) -> str:
    """The range alone: 10 to 15 min, 50 s to 2.1 min, 10 min or more."""
    low = about(time.low)
    if math.isinf(time.high):
        return f"{low} or more"
    high = about(time.high)
    if low.split()[1] == high.split()[1]:
        low = low.split()[0]
    return f"{low} to {high}"


def counted(number: int, name: str) -> str:
    """So many of something: 1 call, 2 calls; of a name of several words the first is counted."""
    first, blank, rest = name.partition(" ")
    return f"{number:,} {first}{'' if number == 1 else 's'}{blank}{rest}"


def short(number: float) -> str:
    """A number in five characters or so: 950, 31.2k, 1.4M."""
    for size, mark in ((1e6, "M"), (1e3, "k")):
        if number >= 10 * size or (mark == "M" and number >= size):
            figure = number / size
            text = f"{figure:.{max(0, 3 - len(str(int(figure))))}f}"
            return (text.rstrip("0").rstrip(".") if "." in text else text) + mark
    return f"{number:,.0f}"


def use(gauge: Gauge) -> str:
    """How much of a limit is used: 118 of 120/min."""
    a_minute = "" if gauge.name == "concurrent" else "/min"
    figure = short if gauge.name == "tokens" else "{:,.0f}".format
    if gauge.limit is None:
        return f"{figure(gauge.used)}{a_minute}"
    return f"{figure(gauge.used)} of {figure(gauge.limit)}{a_minute}"


def cause(reason: str) -> tuple[str, str]:
    """A failure's cause as the ledger names it, and what came of it: ("timeout", "tried again")."""
    outcome, _, name = reason.partition(":")
    return name.replace("_", " "), {"again": "tried again", "rejected": "rejected"}.get(outcome, outcome)


def percent(part: int, total: int) -> str:
    """So much of a total: never 100% before it is all, nor 0% after the first."""
    share = part / total if total else 0.0
    if 0 < share < 0.01 or 0.99 <= share < 1:
        return f"{min(max(share, 0.001), 0.999):.1%}"
    return f"{share:.0%}"
