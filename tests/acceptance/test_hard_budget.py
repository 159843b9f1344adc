"""Budgets are hard: whatever goes wrong, the provider's bill stays below them."""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
from typing import Any

from fleet_bench import MODEL, OTHER_MODEL, Fleet
from provider_looks import arrivals, in_flight

from config.money import to_nano_usd

COUNT = 600
FAULTS = {"500": 0.04, "timeout": 0.02, "reset": 0.02, "malformed": 0.04, "refused": 0.04, "length": 0.02}
#: Nano-dollars of a call with the long answer: half of the job is what the budget covers.
LONG = 1_900_000
BUDGET = COUNT // 2 * LONG


class Answers:
    """Short answers at first, then such as use nearly all that the recipe allows."""

    def __init__(self) -> None:
        self.long = False

    def __call__(
        self, name: str, schema: dict[str, Any] | None, messages: list[dict[str, Any]], rng: random.Random
    ) -> str:
        words = 270 if self.long else 1
        return json.dumps({"question": f"Perché {rng.random()}?", "answer": "sì, " * words}, ensure_ascii=False)


def test_a_jobs_budget_holds_through_faults_a_kill_and_wrong_expectations(fleet: Fleet) -> None:
    """The bill stays below the budget, calls in flight shrink near it, and with more money the job is complete."""
    answers = Answers()
    fleet.recipe(timeout=3)
    fleet.provide(answers, latency_seconds=0.4, faults=FAULTS)
    worker = fleet.worker(processes=3, concurrency=20)
    fleet.until_joined(3)
    job = fleet.submit("small", "--count", str(COUNT), "--budget", f"{BUDGET / 1e9}")
    # From now on every answer is many times what was learned of the first ones.
    fleet.until_settled(job, COUNT // 10)
    answers.long = True
    fleet.until(lambda: fleet.billed() > BUDGET / 3, "a third of the budget is spent")
    os.kill(fleet.children(worker.pid)[0], signal.SIGKILL)
    stopped = fleet.until_state(job, "budget", 120)
    fleet.until(lambda: in_flight(fleet) == 0, "the provider has seen every caller leave")

    bill = fleet.billed()
    began = [call.in_flight for call in arrivals(fleet) if call.in_flight]
    middle, end = began[len(began) // 4 : len(began) // 2], began[-10:]
    print(
        f"bill {bill / BUDGET:.1%} of the budget, ledger {stopped.cost_nano_usd / BUDGET:.1%} and unknown "
        f"{stopped.unknown_usd * 1e9 / BUDGET:.1%}; in flight {statistics.median(middle)} in the middle, "
        f"{statistics.median(end)} at the end; {stopped.settled} of {COUNT} settled, {stopped.reasons}"
    )
    assert bill <= BUDGET
    assert stopped.cost_nano_usd <= bill <= stopped.cost_nano_usd + to_nano_usd(stopped.unknown_usd)
    assert (stopped.running, stopped.reserved_usd) == (0, 0)
    assert COUNT // 4 < stopped.settled < COUNT
    assert statistics.median(end) < statistics.median(middle)

    fleet.genfleet("resume", job, "--budget", "5")
    status = fleet.until_state(job, "complete")
    assert worker.end().code == 0
    fleet.until(lambda: in_flight(fleet) == 0, "the provider has seen every caller leave")
    assert (status.settled, status.duplicates) == (COUNT, 0)
    fleet.genfleet("collect", job)
    attempts = fleet.parts(job, "attempts")
    names = {attempt["generation_id"] for attempt in attempts}
    alone = [call for call in fleet.provider.audit() if call.billed and call.id not in names]
    unknown = [attempt for attempt in attempts if attempt["outcome"] == "unknown"]
    print(f"bill ${fleet.billed() / 1e9:.6f}, {len(alone)} calls without an answer on it, {len(unknown)} named unknown")
    assert sum(attempt["cost_nano_usd"] or 0 for attempt in attempts) == status.cost_nano_usd
    assert status.cost_nano_usd == fleet.billed() - sum(call.cost_nano_usd for call in alone)
    assert len(alone) <= len(unknown)


def test_the_fleets_daily_budget_holds_over_jobs_on_two_models(fleet: Fleet) -> None:
    """Both jobs stop with a note that says what to do, the bill is below the budget, and more of it completes both."""
    answers = Answers()
    answers.long = True
    fleet.provide(answers, latency_seconds=0.3, faults={"500": 0.05, "reset": 0.02, "malformed": 0.05})
    fleet.recipe(name="other", model=OTHER_MODEL)
    budget = to_nano_usd("0.60")
    fleet.env["GENFLEET_BUDGET_USD"] = "0.60"
    assert "of $0.6" in fleet.genfleet("limits").out
    submitted = [fleet.submit("small", "--count", "250"), fleet.submit("other", "--count", "250")]
    # Both wait already when the workers come.
    fleet.start("worker", "--processes", "3", "--concurrency", "20", "--model", MODEL, "--model", OTHER_MODEL)
    stopped = [fleet.until_state(job, "budget") for job in submitted]
    bill = fleet.billed()
    print(f"bill {bill / budget:.1%} of the day's budget; {[status.settled for status in stopped]} of 250 settled")
    assert budget * 0.9 < bill <= budget
    assert sum(status.cost_nano_usd for status in stopped) <= bill
    assert [(status.running, status.reserved_usd) for status in stopped] == [(0, 0)] * 2
    assert all(0 < status.settled < 250 for status in stopped)
    for status in stopped:
        assert "`genfleet limits --daily-budget`" in (status.note or "")
        assert "budget for the day (UTC)" in fleet.genfleet("watch", status.job, code=1).err

    # What a person sets live stays, although each command declares the environment's.
    assert "of $5" in fleet.genfleet("limits", "--daily-budget", "5").out
    for job in submitted:
        fleet.genfleet("resume", job)
    done = [fleet.until_state(job, "complete") for job in submitted]
    assert [status.settled for status in done] == [250, 250]
    assert sum(status.cost_nano_usd for status in done) <= fleet.billed()
