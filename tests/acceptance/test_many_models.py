"""Several models on one machine: what holds one of them back takes nothing from the others."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest
from fleet_bench import MODEL, OPENAI_MODEL, OTHER_MODEL, Fleet
from provider_looks import arrivals, now, since

from ledger import keys

# Looks at pace: it has the machine's other tests beside it, but none that keeps every core busy.
pytestmark = pytest.mark.xdist_group("pace")

PLACES = 30
FREE = 120
LATENCY_SECONDS = 2.0


@pytest.mark.parametrize("kind", ["genfleet", "celery"])
def test_models_that_are_held_back_keep_no_place_from_the_third(fleet: Fleet, kind: str) -> None:
    """On 30 places, beside a model of 6 requests/min and one that gets only 429s, the third has places enough."""
    fleet.declare({MODEL: {"requests_per_minute": 6}})
    fleet.provide(latency_seconds=LATENCY_SECONDS, latency_sigma=0.1, retry_after="none")
    for name, model in (("slow", MODEL), ("refused", OTHER_MODEL), ("free", OPENAI_MODEL)):
        fleet.recipe(name=name, model=model)
    _START[kind](fleet)
    fleet.until_joined(1)
    refused = fleet.submit("refused", "--count", "600")
    fleet.until_settled(refused, PLACES)
    # All places are its own when it is refused; a call a minute is let through.
    fleet.provider.control(model_limits={OTHER_MODEL: {"requests_per_minute": 1}})
    limited = now()
    slow = fleet.submit("slow", "--count", "400")
    fleet.until(lambda: _refusals(fleet) >= 3, "the first model is refused")
    free = fleet.submit("free", "--count", str(FREE))
    fleet.until_state(free, "complete")

    calls = arrivals(fleet, OPENAI_MODEL)
    in_flight = [call.in_flight for call in calls[PLACES:-PLACES]]
    seconds = calls[-1].t - calls[0].t
    slowly = fleet.status(slow)
    others = sum(call.refused_by is None for call in since(arrivals(fleet, OTHER_MODEL), limited))
    print(
        f"{kind}: {len(calls)} calls of {LATENCY_SECONDS:g} s in {seconds:.1f} s, "
        f"{statistics.median(in_flight):.0f} in flight on {PLACES} places; "
        f"meanwhile {slowly.settled} and {others} of the others"
    )
    assert statistics.median(in_flight) >= PLACES / 2
    assert slowly.settled <= slowly.seconds / 10 + 2
    assert others <= 3
    # Whoever is free of limits again goes on.
    fleet.provider.control(model_limits={OTHER_MODEL: {"requests_per_minute": 600_000}})
    fleet.until_settled(refused, fleet.status(refused).settled + 10)
    fleet.genfleet("cancel", slow)
    fleet.genfleet("cancel", refused)


def _refusals(fleet: Fleet) -> int:
    return int(fleet.redis.hget(keys.model(OTHER_MODEL), "refused") or 0)


def _supervised(fleet: Fleet) -> None:
    fleet.start("worker", "--processes", "1", "--concurrency", str(PLACES))


def _plain(fleet: Fleet) -> None:
    fleet.celery("worker", "-c", str(PLACES), "--loglevel", "WARNING")


_START: dict[str, Callable[[Fleet], None]] = {"genfleet": _supervised, "celery": _plain}
