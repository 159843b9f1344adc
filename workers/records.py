"""What is kept of an attempt and of its examples."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from config.money import NANO
from config.recipe import Recipe
from ledger.attempt_rows import COUNTED
from workers.client import Answer
from workers.errors import Failure
from workers.verdict import Verdict


def attempt_record(
    job: str,
    unit: int,
    number: int,
    recipe: Recipe,
    worker: str,
    verdict: Verdict,
    reply: Answer | Failure | None,
    at: datetime | None = None,
) -> dict[str, Any]:
    """What is kept of an attempt, whatever it came to; `at` is when it ended, by default now and here."""
    answer = reply if isinstance(reply, Answer) else None
    cost = verdict.settlement.cost
    source = answer.cost_source if answer else "unknown" if cost is None else "none"
    return {
        "job": job,
        "unit": unit,
        "attempt": number,
        "at": (at or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        "outcome": "unknown" if cost is None and answer is None else verdict.settlement.outcome,
        "reason": verdict.settlement.reason or None,
        "recipe": recipe.name,
        "model": recipe.model,
        "answered_by": answer.answered_by if answer else None,
        "generation_id": answer.generation_id if answer else None,
        "prompt_tokens": verdict.settlement.prompt_tokens,
        "completion_tokens": verdict.settlement.completion_tokens,
        "cached_tokens": verdict.settlement.cached_tokens,
        "cache_write_tokens": answer.cache_write_tokens if answer else 0,
        "cost_nano_usd": cost,
        "cost_source": source,
        "latency_seconds": round(reply.latency, 3) if reply else None,
        "worker": worker,
    }


def example_records(verdict: Verdict, item: dict[str, Any], attempt: dict[str, Any]) -> list[dict[str, Any]]:
    """The examples as they are stored; a call's tokens and cost are shared evenly among the examples it made."""
    count = len(verdict.examples)
    records = []
    for k, example in enumerate(verdict.examples):

        def share(total: int | None, k: int = k) -> int:
            return ((total or 0) * (k + 1)) // count - ((total or 0) * k) // count

        cost = share(attempt["cost_nano_usd"])
        usage = {name: share(attempt[name]) for name in COUNTED}
        records.append(
            {"id": f"{attempt['job']}-{example['index']:06d}", "index": example["index"], "job": attempt["job"]}
            | {"recipe": attempt["recipe"], "outcome": example["outcome"], "variables": item["variables"]}
            | {name: value for name, value in example.items() if name not in ("index", "outcome")}
            | {name: attempt[name] for name in ("model", "answered_by", "generation_id")}
            | {"usage": usage, "cost_usd": cost / NANO, "cost_nano_usd": cost, "cost_source": attempt["cost_source"]}
            | {"latency_seconds": attempt["latency_seconds"], "attempts": attempt["attempt"], "at": attempt["at"]}
        )
    return records
