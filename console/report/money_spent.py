"""What the money of a job went for."""

from __future__ import annotations

from dataclasses import dataclass

from console.report.facts import Facts


@dataclass(frozen=True)
class Spent:
    """A part of a job's cost, in nano-dollars; `calls` that it was paid for."""

    what: str
    said: str
    calls: int
    nano_usd: int
    share: float


def spent(facts: Facts) -> list[Spent]:
    """The known cost of the collected attempts, taken apart; the parts add up to it."""
    totals = facts.seen.totals
    whole = int(totals["cost_nano_usd"])
    rejected, again, duplicate = (int(totals[f"{name}_cost_nano_usd"]) for name in ("rejected", "again", "duplicate"))
    said = {
        "accepted": "calls that gave at least one accepted example",
        "rejected": "answers that gave no accepted example",
        "repeated": "calls that settled nothing and were made again",
        "duplicate": "answers to what another call had settled",
    }
    amounts = {
        "accepted": whole - rejected - again - duplicate,
        "rejected": rejected,
        "repeated": again,
        "duplicate": duplicate,
    }
    calls = {"repeated": int(totals["again"]), "duplicate": int(totals["duplicates"])}
    return [
        Spent(what, said[what], calls.get(what, -1), amount, amount / whole if whole else 0.0)
        for what, amount in amounts.items()
    ]
