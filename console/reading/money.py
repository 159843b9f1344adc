"""What a job will probably have cost at its end, and whether its budget lasts."""

from __future__ import annotations

from typing import NamedTuple

from config.money import NANO
from ledger.status import Status


class Forecast(NamedTuple):
    """In dollars and examples.

    Attributes:
        cost_usd: what the whole job will have cost, if the rest costs what the settled examples did.
        examples: those that the budget pays for; None where it pays for all, or there is none.
    """

    cost_usd: float
    examples: int | None


def forecast(status: Status) -> Forecast | None:
    """What the job comes to; None before an example was paid for.

    What is unknown counts as spent: the most that calls whose answer never came can cost stays charged.
    """
    if not status.settled or not status.cost_nano_usd:
        return None
    charged = status.cost_nano_usd + round(status.unknown_usd * NANO)
    whole = (charged + status.cost_nano_usd * (status.total - status.settled) / status.settled) / NANO
    if status.budget_usd is None or whole <= status.budget_usd:
        return Forecast(whole, None)
    left = max(0, round(status.budget_usd * NANO) - charged)
    return Forecast(whole, min(status.total, status.settled + left * status.settled // status.cost_nano_usd))
