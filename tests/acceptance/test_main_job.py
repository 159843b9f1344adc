"""The main promise: a large job among faults, whole and paid to the nano-dollar."""

from __future__ import annotations

from collections import Counter

from fleet_bench import Fleet

COUNT = 600
FAULTS = {"500": 0.02, "timeout": 0.02, "malformed": 0.02, "refused": 0.02}


def test_every_example_settles_once_and_the_ledger_equals_the_bill(fleet: Fleet) -> None:
    """Over four processes, faults lose nothing, double nothing, and every provider call has its record and cost."""
    fleet.recipe(timeout=3)
    fleet.provide(latency_seconds=0.2, faults=FAULTS)
    worker = fleet.worker(processes=4)
    job = fleet.submit("small", "--count", str(COUNT))
    status = fleet.until_state(job, "complete")
    assert worker.end().code == 0
    fleet.genfleet("collect", job)

    fleet.until(lambda: fleet.billed("calls") == status.attempts, "the provider has seen every caller leave")
    audit = fleet.provider.audit()
    met = Counter(call.fault for call in audit)
    assert status.accepted + status.rejected == status.total == COUNT
    assert status.reasons == {
        "again:http_500": met["500"],
        "again:timeout": met["timeout"],
        "rejected:invalid": met["malformed"],
        "rejected:refused": met["refused"],
    }
    assert status.cost_nano_usd == fleet.billed() - fleet.billed("left_cost_nano_usd")
    assert fleet.billed("left_cost_nano_usd") == 0
    assert status.duplicates == 0

    accepted, rejected = fleet.parts(job, "accepted"), fleet.parts(job, "rejected")
    assert (len(accepted), len(rejected)) == (status.accepted, status.rejected)
    assert len({example["id"] for example in accepted + rejected}) == COUNT
    assert sum(example["cost_nano_usd"] for example in accepted + rejected) == status.cost_nano_usd
    attempts = fleet.parts(job, "attempts")
    assert len(attempts) == len(audit)
    paid = {attempt["generation_id"]: attempt["cost_nano_usd"] for attempt in attempts if attempt["cost_nano_usd"]}
    assert paid == {call.id: call.cost_nano_usd for call in audit if call.cost_nano_usd}
