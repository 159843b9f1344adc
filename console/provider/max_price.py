"""The price above which a caller does not want to be served."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from config.money import Price


class MaxPrice(NamedTuple):
    """The most that a caller accepts for a prompt and for a completion, USD per million tokens; None is any price."""

    prompt: Decimal | None = None
    completion: Decimal | None = None

    def allows(self, price: Price) -> bool:
        """Whether a model of that price may answer; what its cache costs is not asked."""
        bounds = ((self.prompt, price.input), (self.completion, price.output))
        return all(most is None or cost <= most for most, cost in bounds)
