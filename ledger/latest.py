"""The newest examples of a job, for people to look at: some of the accepted, and some of each cause of failure.

Results leave the ledger as soon as they are collected, maybe to another machine's disk. So workers put some of them
into one small hash, a field for each place of a ring: what comes later takes the place of what came before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ledger import keys
from ledger.connection import Redis
from ledger.damaged import Damaged, reading
from ledger.storable import json_line

#: Places for accepted examples, and for each cause.
ACCEPTED, CAUSE = 20, 5
_MOST_TEXT = 8_000  # characters of one text
_MOST_BYTES = 64_000  # of an example
_FACTS = ("unit", "attempt", "recipe", "answered_by", "worker", "latency_seconds", "at")


@dataclass(frozen=True)
class Latest:
    """The newest first.

    Attributes:
        accepted: examples as they are stored, their long texts cut.
        causes: by `rejected:<reason>` the rejected examples, with their raw answers; by `again:<reason>` the facts of
            attempts that failed.
    """

    accepted: list[dict[str, Any]]
    causes: dict[str, list[dict[str, Any]]]


def cause_of(outcome: str, reason: str) -> str:
    """What an end of an attempt is kept under: `accepted`, `rejected:<reason>` or `again:<reason>`."""
    return outcome if outcome == "accepted" else f"{outcome}:{reason}"


def fields(
    outcome: str, reason: str, attempt: dict[str, Any], examples: list[dict[str, Any]], number: int
) -> dict[str, bytes]:
    """What goes into the job's hash for one attempt.

    Args:
        outcome, reason: of the attempt, as they were settled.
        attempt, examples: the records that went to the ledger.
        number: how many of the cause the worker has kept before, which says whose place it takes.
    """
    if outcome == "again":
        facts = {name: attempt[name] for name in _FACTS}
        return {f"{cause_of(outcome, reason)} {number % CAUSE}": _text(facts)}
    kept = {}
    for place, example in enumerate(examples, number * len(examples)):
        accepted = example["outcome"] == "accepted"
        name = cause_of(example["outcome"], example.get("reason", ""))
        # The conversation says the same in other words.
        shown = {field: value for field, value in example.items() if field != "messages"}
        kept[f"{name} {place % (ACCEPTED if accepted else CAUSE)}"] = _text(
            _shortened(shown) | {"worker": attempt["worker"]}
        )
    return kept


def _text(record: dict[str, Any]) -> bytes:
    text = json_line(record)
    if len(text) <= _MOST_BYTES:
        return text
    # Of very many texts: what it is must do.
    return json_line({name: value for name, value in record.items() if not isinstance(value, dict | list)})


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _MOST_TEXT:
        return f"{value[:_MOST_TEXT]}… ({len(value) - _MOST_TEXT:,} characters more)"
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items()}
    return [_shortened(one) for one in value] if isinstance(value, list) else value


def read(redis: Redis, job: str) -> Latest:
    """The newest examples of a job that anybody kept. Raises Damaged where they are no hash."""
    with reading(f'the newest examples of job "{job}"'):
        raw = redis.hgetall(keys.job(job, "latest"))
    found: dict[str, list[dict[str, Any]]] = {}
    for field, text in raw.items():
        try:
            with reading("an example"):
                record = json.loads(text)
                name = field.decode().rpartition(" ")[0]
                found.setdefault(name, []).append({**record, "at": str(record["at"])})
        except Damaged:
            continue
    for records in found.values():
        records.sort(key=lambda record: str(record["at"]), reverse=True)
    return Latest(found.pop("accepted", []), found)
