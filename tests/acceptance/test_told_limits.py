"""Limits that a provider names with its answers: OpenAI's headers."""

from __future__ import annotations

import pytest
from fleet_bench import OPENAI_MODEL, Fleet
from provider_looks import arrivals

# Looks at pace: it has the machine's other tests beside it, but none that keeps every core busy.
pytestmark = pytest.mark.xdist_group("pace")

DECLARED, ALLOWED = 960, 240  # requests per minute


def test_a_lower_limit_in_openais_headers_is_kept_from_the_first_answers_on(fleet: Fleet) -> None:
    """Declared four times what the provider allows, the fleet meets next to no 429 and shows what it was told."""
    fleet.declare({OPENAI_MODEL: {"requests_per_minute": DECLARED}})
    fleet.provide(latency_seconds=0.1, limits={"requests_per_minute": ALLOWED, "tokens_per_minute": 200_000})
    fleet.recipe(name="told", model=OPENAI_MODEL)
    fleet.start("worker", "--processes", "2", "--concurrency", "20", "--model", OPENAI_MODEL)
    fleet.until_joined(2)
    job = fleet.submit("told", "--count", "48")
    assert fleet.until_state(job, "complete").accepted == 48
    calls = arrivals(fleet)
    told = min(call.t + call.seconds for call in calls)
    refused = [place for place, call in enumerate(calls) if call.refused_by]
    print(
        f"declared {DECLARED}/min, allowed {ALLOWED}/min: refused of {len(calls)} calls were those in the places "
        f"{refused}; {sum(call.t < told for call in calls)} came before the first answer"
    )
    # Only what is under way before the first answer, or was let through with it, can be too much: that is less than
    # what the declared limit lets through in a second.
    assert all(place < DECLARED / 60 for place in refused)
    assert len(refused) <= len(calls) / 10
    row = next(line for line in fleet.genfleet("limits", OPENAI_MODEL).out.splitlines() if line.startswith("gpt-4o"))
    assert f"{DECLARED} (told {ALLOWED})" in row
    assert "(told 200,000)" in row
