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

#: Places for accepted examples, and for each cause.
ACCEPTED, CAUSE = 20, 5
_MOST_TEXT = 8_000  # characters of one text
_MOST_BYTES = 64_000  # of an example
_FACTS = ("recipe", "answered_by", "worker", "latency_seconds", "at")


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
    outcome: str, reason: str, attempt: dict[str, Any], examples: list[dict[str, Any]], first: dict[str, Any] | None
) -> dict[str, str]:
    """What goes into the job's hash for one attempt.

    Args:
        outcome, reason: of the attempt, as they were settled.
        attempt, examples: the records that went to the ledger.
        first: the task, of which an attempt that failed has the number of the first example.
    """
    if outcome == "again":
        facts = {name: attempt[name] for name in _FACTS} | {"attempt": attempt["attempt"]}
        index = first["first"] if first else attempt["unit"]
        return {f"{cause_of(outcome, reason)} {index % CAUSE}": _text(facts | {"index": index})}
    kept = {}
    for example in examples:
        accepted = example["outcome"] == "accepted"
        name = cause_of(example["outcome"], example.get("reason", ""))
        place = example["index"] % (ACCEPTED if accepted else CAUSE)
        kept[f"{name} {place}"] = _text(_shortened(example) | {"worker": attempt["worker"]})
    return kept


def _text(record: dict[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False)
    if len(text) <= _MOST_BYTES:
        return text
    # Of very many texts: what it is must do.
    small = {name: value for name, value in record.items() if not isinstance(value, dict | list)}
    return json.dumps(small, ensure_ascii=False)


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _MOST_TEXT:
        return f"{value[:_MOST_TEXT]}… ({len(value) - _MOST_TEXT:,} characters more)"
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items() if name != "messages"}
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
