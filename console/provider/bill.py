"""The provider's bill: integer nano-dollars, the sum and by model."""

from __future__ import annotations

from typing import Any, NamedTuple

from config.money import NANO
from console.provider.audit import Call


class Usage(NamedTuple):
    """Tokens of one call; `cached` and `cache_write` tokens are part of `prompt_tokens`."""

    prompt_tokens: int
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class Bill:
    """Counts and money over all calls; refused and failed calls count, and cost nothing."""

    def __init__(self) -> None:
        self._all = _empty()
        self._by_model: dict[str, dict[str, int]] = {}

    @property
    def cost_nano_usd(self) -> int:
        """The sum of all calls so far."""
        return self._all["cost_nano_usd"]

    def add(self, call: Call) -> None:
        """Count one call that has ended."""
        sums = [self._all]
        if call.model is not None:
            sums.append(self._by_model.setdefault(call.model, _empty()))
        for counts in sums:
            counts["calls"] += 1
            counts["refused_429"] += call.refused_by is not None
            if not call.billed:
                continue
            counts["billed_calls"] += 1
            counts["cost_nano_usd"] += call.cost_nano_usd
            counts["prompt_tokens"] += call.prompt_tokens
            counts["completion_tokens"] += call.completion_tokens
            counts["cached_tokens"] += call.cached_tokens
            counts["cache_write_tokens"] += call.cache_write_tokens
            if call.left:
                counts["left_calls"] += 1
                counts["left_cost_nano_usd"] += call.cost_nano_usd

    def as_dict(self) -> dict[str, Any]:
        """The bill as `GET /bill` gives it.

        `left_calls` are those whose caller left before the answer: they are billed, as providers bill them, and
        part of the sums.
        """
        return {
            **self._all,
            "cost_usd": self.cost_nano_usd / NANO,
            "by_model": {model: dict(counts) for model, counts in self._by_model.items()},
        }


def _empty() -> dict[str, int]:
    return dict.fromkeys(
        (
            "cost_nano_usd",
            "calls",
            "billed_calls",
            "refused_429",
            "prompt_tokens",
            "completion_tokens",
            "cached_tokens",
            "cache_write_tokens",
            "left_calls",
            "left_cost_nano_usd",
        ),
        0,
    )
