"""How long prompts, completions and texts are, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from console.report.facts import Facts


@dataclass(frozen=True)
class Length:
    """A length: what of, in which unit, of how many."""

    what: str
    unit: str
    count: int
    of: str
    median: float
    p90: float
    p99: float
    most: float


def lengths(facts: Facts) -> Iterator[Length]:
    """Tokens of calls that gave accepted examples, and characters of each recipe's longest fields."""
    for what, found in (("prompt", facts.seen.prompt_tokens), ("completion", facts.seen.completion_tokens)):
        if found is not None:
            median, p90, p99 = found.quantiles
            yield Length(what, "tokens", found.total, "calls", median, p90, p99, found.most)
    several = len(facts.spec.recipes) > 1
    for recipe, fields in facts.survey.fields.items():
        for field in fields:
            ordered = sorted(field.lengths)
            name = field.name.replace("_", " ")
            median, p90, p99 = (_quantile(ordered, share) for share in (0.5, 0.9, 0.99))
            what = f"{recipe}: {name}" if several else name
            yield Length(what, "characters", len(ordered), "examples", median, p90, p99, ordered[-1])


def _quantile(ordered: Sequence[int], share: float) -> int:
    """The value that this share of them does not pass."""
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]
