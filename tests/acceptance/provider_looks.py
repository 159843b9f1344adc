"""What the provider's audit says of the calls that came to it, on the clock of the test's own process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from urllib.request import urlopen

from fleet_bench import Fleet

from console.provider.audit import Call


def arrivals(fleet: Fleet, model: str | None = None) -> list[Call]:
    """The calls that have ended, of one model or of all, in the order of their arrival."""
    calls = fleet.provider.audit()
    return sorted((call for call in calls if model is None or call.model == model), key=lambda call: call.t)


def first_second_above(calls: Iterable[Call], least: float) -> float | None:
    """The first arrival whose second held more than `least` calls; None where none did."""
    times = [call.t for call in calls]
    first = 0
    for place, t in enumerate(times):
        while times[first] <= t - 1:
            first += 1
        if place - first + 1 > least:
            return t
    return None


def since(calls: Iterable[Call], t: float) -> list[Call]:
    """The calls that came at that time or later."""
    return [call for call in calls if call.t >= t]


def now() -> float:
    """The provider's clock."""
    return time.monotonic()


def in_flight(fleet: Fleet) -> int:
    """Calls that the provider has admitted and not ended."""
    with urlopen(f"{fleet.provider.root_url}/health") as page:
        return int(json.load(page)["in_flight"])
