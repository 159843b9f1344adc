"""A job as the fleet leaves it behind, made without a fleet: the ledger's records and the part files of a real one.

The examples are answers of the simulated provider that passed the recipes' checks, with words changed at random, so
that most differ; records, part files, counters and readings are written by, or in the form of, the product's own code.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from config.models import Model, model
from config.recipe import Recipe
from config.recipe_files import find
from config.request import build
from console.provider.answers import answer
from ledger import jobs, keys, limits, todo
from ledger.connection import Redis
from ledger.jobs import Spec
from ledger.parts import Entry, Parts
from ledger.storable import json_line
from producers.expand import Share, expand, shares
from workers.client import Answer
from workers.errors import Failure
from workers.records import attempt_record, example_records
from workers.verdict import Tries, Verdict, judge

RECIPES = ("quiz", "reasoning", "chat")
_BASES = 150  # different answers of each recipe
_CHANGED = 0.4  # of the words of a text
_SAME = 0.03  # of the examples keep the texts of their base
_READINGS = 1_000
_BATCH = 20_000  # stream entries
_START = datetime(2026, 1, 15, 8, tzinfo=UTC).timestamp()
_FAULTS = (
    ("rate_limited", Failure(status=429, latency=0.1), 0.004),
    ("http_500", Failure(status=500, latency=0.6), 0.01),
    ("timeout", Failure(transport="timeout", latency=120.0), 0.002),
)
_INVALID = 0.02


@dataclass
class Sums:
    """What the ledger would have counted."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    readings: list[dict[str, int]] = field(default_factory=list)


class MadeJob:
    """A job of `count` examples: its parts in a folder, its record in a ledger."""

    def __init__(self, count: int, seed: int = 1, per_second: float = 90.0, recipes: tuple[str, ...] = RECIPES) -> None:
        self.spec = Spec(
            recipes=tuple(find(name) for name in recipes), model=find(recipes[0]).model, total=count, seed=seed
        )
        self.id = f"made-{count}"
        self._rate = per_second
        self._rng = random.Random(seed)
        self._bases = {recipe.name: _bases(recipe, seed) for recipe in self.spec.recipes}
        self._words = sorted({word for bases in self._bases.values() for text, _ in bases for word in text.split()})

    def write(self, folder: Path) -> Sums:
        """Writes the part files and gives what the ledger would have counted."""
        sums = Sums()
        parts = Parts(folder)
        entries = self._entries(sums)
        while batch := list(islice(entries, _BATCH)):
            parts.write(batch)
            parts.compact()
        parts.compact(least=2)
        parts.close()
        return sums

    def record(self, redis: Redis, sums: Sums) -> None:
        """Writes the job's record and its readings over time into a ledger."""
        made: Model = model(self.spec.model)
        jobs.create(redis, self.id, self.spec, made, [made], self.spec.total)
        last = _START + self.spec.total / self._rate
        times = {"first_at": int(_START * 1e6), "last_at": int(last * 1e6), "ended_at": int(last * 1e6)}
        settled = {"state": "complete", "cursor": self.spec.total}
        redis.hset(keys.job(self.id), mapping={**sums.counts, **times, **settled})
        redis.hset(keys.job(self.id, "reasons"), mapping=dict(sums.reasons))
        per_minute = {"requests_per_minute": 84 * self._rate, "tokens_per_minute": 60 * self._rate * 1_200}
        limits.change(redis, self.spec.model, per_minute | {"concurrent_requests": 400})
        with redis.pipeline() as pipe:
            for place, reading in enumerate(sums.readings, 1):
                at = int((_START + (last - _START) * place / len(sums.readings)) * 1000)
                pipe.xadd(keys.job(self.id, "history"), reading | {"running": 200}, id=f"{at}-1")
                wobble = self._rng.uniform(0.9, 1.0)
                use = {"requests": int(60 * self._rate * wobble), "tokens": int(60 * self._rate * wobble * 1_195)}
                bounds = {"rpm": 84 * self._rate, "tpm": 60 * self._rate * 1_200, "concurrent": 400}
                waited = {"waited_tokens": place * 4_000, "waited_requests": place * 90}
                pipe.xadd(
                    keys.history(self.spec.model),
                    use | bounds | waited | {"in_flight": int(200 * wobble), "share": "1.0000", "refused": place // 9},
                    id=f"{at}-1",
                )
            pipe.execute()

    def _entries(self, sums: Sums) -> Iterator[Entry]:
        every = max(1, self.spec.total // _READINGS)
        parts: list[Share] = shares(self.spec.recipes, self.spec.total)
        for done, item in enumerate(expand(parts, self.spec.seed, None), 1):
            recipe = self.spec.recipes[item.recipe]
            at = _START + done / self._rate + self._rng.uniform(0, 2)
            number = 1
            for reason, failure, share in _FAULTS:
                if self._rng.random() < share:
                    yield self._entry(item, recipe, failure, number, at - 1, sums)
                    sums.reasons[f"again:{reason}"] += 1
                    number += 1
            yield self._entry(item, recipe, self._answer(recipe), number, at, sums)
            if done % every == 0:
                names = ("accepted", "rejected", "attempts", "prompt_tokens", "completion_tokens", "spent")
                sums.readings.append({name: sums.counts[name] for name in names})

    def _answer(self, recipe: Recipe) -> Answer:
        text, prompt_tokens = self._rng.choice(self._bases[recipe.name])
        if self._rng.random() < _INVALID:
            text = text[: len(text) // 2]
        completion = len(text) // 3
        return Answer(
            text=text,
            finish_reason="stop",
            refusal=None,
            answered_by=recipe.model,
            generation_id=f"gen-{self._rng.getrandbits(60):015x}",
            prompt_tokens=prompt_tokens,
            completion_tokens=completion,
            cached_tokens=0,
            cost=prompt_tokens * 1_000 + completion * 5_000,
            cost_source="provider",
            latency=round(self._rng.lognormvariate(0.8, 0.5), 3),
        )

    def _entry(
        self, item: todo.Item, recipe: Recipe, reply: Answer | Failure, number: int, at: float, sums: Sums
    ) -> Entry:
        facts = {"first": item.first, "count": item.count, "variables": item.variables}
        verdict = self._judged(reply, recipe, facts)
        attempt = attempt_record(self.id, item.unit, number, recipe, f"worker-{item.unit % 4}", verdict, reply)
        # No call began before the job did.
        at = max(at, _START + (reply.latency if isinstance(reply, Failure) else 0))
        attempt["at"] = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        settlement = verdict.settlement
        counts = {
            "attempts": 1,
            "accepted": settlement.accepted,
            "rejected": settlement.rejected,
            "prompt_tokens": settlement.prompt_tokens,
            "completion_tokens": settlement.completion_tokens,
            "spent": settlement.cost or 0,
        }
        sums.counts.update(counts)
        if settlement.rejected:
            sums.reasons[f"rejected:{settlement.reason}"] += settlement.rejected
        return (
            f"{int(_START * 1000) + sums.counts['attempts']}-1",
            json_line(attempt),
            json_line(example_records(verdict, facts, attempt)),
        )

    def _judged(self, reply: Answer | Failure, recipe: Recipe, facts: dict[str, Any]) -> Verdict:
        """The verdict; for an answer, that of its base with words changed, as checking a million costs an hour."""
        if isinstance(reply, Failure):
            return judge(reply, recipe, facts, Tries(), self._rng)
        key = (recipe.name, reply.text)
        if key not in _verdicts:
            _verdicts[key] = judge(reply, recipe, facts, Tries(), self._rng)
        verdict = _verdicts[key]
        examples = [{**one, "index": facts["first"]} for one in verdict.examples]
        if verdict.settlement.accepted and self._rng.random() >= _SAME:
            examples = [{**one, "output": self._changed(one["output"])} for one in examples]
            examples = [{**one, "messages": recipe.conversation(one["output"], facts["variables"])} for one in examples]
        used = {"cost": reply.cost, "latency": reply.latency}
        return replace(verdict, settlement=verdict.settlement.model_copy(update=used), examples=examples)

    def _changed(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._changed(one, key) for key, one in value.items()}
        if name in ("options", "answer", "role"):
            return value
        if isinstance(value, list):
            return [self._changed(one, name) for one in value]
        words = value.split(" ")
        for place in range(len(words)):
            if self._rng.random() < _CHANGED:
                words[place] = self._words[int(self._rng.random() * len(self._words))]
        return " ".join(words)


_verdicts: dict[tuple[str, str], Verdict] = {}


def _bases(recipe: Recipe, seed: int) -> list[tuple[str, int]]:
    """Answers to the recipe's first prompts, with the prompts' tokens."""
    rng = random.Random(seed)
    bases = []
    for item in expand([Share(recipe, _BASES)], seed, None):
        request = build(recipe, model(recipe.model), item.variables, 1)
        name, schema = recipe.checked_output.request_schema(1)
        bases.append((answer(name, schema, request["messages"], rng), item.prompt_bytes // 4))
    return bases
