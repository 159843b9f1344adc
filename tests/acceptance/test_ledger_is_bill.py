"""The ledger beside the provider's bill, call by call, with everything going wrong that can."""

from __future__ import annotations

import os
import random
import signal

import pytest
from fleet_bench import Fleet
from provider_looks import in_flight

from console.provider.audit import Call
from console.provider.faults import Fault

# It keeps every core busy, so that tests that look at pace must not run beside it.
pytestmark = pytest.mark.xdist_group("pace")

COUNT = 2_500
PROCESSES = 4
#: Those that stop a job are left out, and those that pause the whole fleet for a second are rarer.
FAULTS = {fault.value: 0.02 for fault in Fault if fault not in (Fault.UNAUTHORIZED, Fault.NO_CREDIT)}
FAULTS[Fault.RATE_LIMITED.value] = 0.002


@pytest.mark.timeout(400)
def test_every_call_on_the_bill_is_an_attempt_of_that_cost_or_is_named_unknown(fleet: Fleet) -> None:
    """With 2,500 examples, each fault at 2% and two kills, ledger and bill differ by nothing but what is named."""
    fleet.recipe(timeout=5)
    fleet.provide(latency_seconds=0.3, faults=FAULTS)
    worker = fleet.worker(processes=PROCESSES)
    fleet.until_joined(PROCESSES)
    job = fleet.submit("small", "--count", str(COUNT))
    chance = random.Random()
    for settled in sorted(chance.sample(range(200, COUNT * 3 // 4), 2)):
        fleet.until_settled(job, settled)
        victim = chance.choice(fleet.children(worker.pid))
        print(f"SIGKILL to one of {PROCESSES} processes, {fleet.status(job).settled} settled")
        os.kill(victim, signal.SIGKILL)
    status = fleet.until_state(job, "complete", 300)
    assert worker.end().code == 0
    fleet.until(lambda: in_flight(fleet) == 0, "the provider has seen every caller leave")
    fleet.genfleet("collect", job)

    attempts = fleet.parts(job, "attempts")
    named = {attempt["generation_id"]: attempt for attempt in attempts if attempt["generation_id"]}
    unknown = [attempt for attempt in attempts if attempt["outcome"] == "unknown"]
    billed = {call.id: call for call in fleet.provider.audit() if call.billed}
    alone = [call for name, call in billed.items() if name not in named]
    differing = [
        call for name, call in billed.items() if name in named and named[name]["cost_nano_usd"] != call.cost_nano_usd
    ]
    unbilled = [attempt for name, attempt in named.items() if name not in billed and attempt["cost_nano_usd"]]
    _show(billed, attempts, unknown, alone + differing)
    times = sorted(call.t for call in fleet.provider.audit())
    print(f"{len(times)} calls in {times[-1] - times[0]:.0f} s")

    assert (status.settled, status.duplicates) == (COUNT, 0)
    assert len(attempts) == len({(attempt["unit"], attempt["attempt"]) for attempt in attempts}) == status.attempts
    assert (differing, unbilled) == ([], [])
    assert len(alone) <= len(unknown)
    ledger = sum(attempt["cost_nano_usd"] or 0 for attempt in attempts)
    assert ledger == status.cost_nano_usd == fleet.billed() - sum(call.cost_nano_usd for call in alone)
    assert all(attempt["cost_nano_usd"] is None for attempt in unknown)
    # What is unknown is charged with at least what it cost.
    assert status.unknown_usd * 1e9 >= sum(call.cost_nano_usd for call in alone)


def _show(
    billed: dict[str | None, Call], attempts: list[dict[str, object]], unknown: list[object], differences: list[Call]
) -> None:
    print(f"{len(billed)} calls on the bill, {len(attempts)} attempts in the ledger, {len(unknown)} of them unknown")
    print(f"{len(differences)} calls on the bill differ:")
    for call in differences:
        print(f"  {call.id}  status {call.status}  fault {call.fault}  left {call.left}  {call.cost_nano_usd:>9} n$")
