"""Why examples of a job were rejected or calls for them failed, by cause, as Flower's list of tasks names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.latest import Latest
from workers.rejections import WorkersDied, class_of

#: Attempts whose worker went away before the answer came.
_OF_WORKERS = ("worker_lost", "worker_stopped", "poison")
_MOST_DETAIL = 300  # characters


def class_name(reason: str) -> str:
    """The class under which Flower shows the cause, such as InvalidOutput."""
    return (WorkersDied if reason in _OF_WORKERS else class_of(reason)).__name__


def causes(reasons: Mapping[str, int], recent: Mapping[str, int] | None, latest: Latest) -> list[dict[str, Any]]:
    """Each cause with its counts, the most frequent first, what was rejected before what was tried again.

    Args:
        reasons: counts by `rejected:<reason>` and `again:<reason>`, as a status has them.
        recent: how many of them came in the last minute, where that is known.
        latest: of which a cause has the newest example, if it has one.
    """
    found = []
    for cause, count in reasons.items():
        outcome, _, reason = cause.partition(":")
        example = next(iter(latest.causes.get(cause, ())), None)
        found.append(
            {
                "cause": cause,
                "class": class_name(reason),
                "reason": reason,
                "rejected": outcome == "rejected",
                "count": count,
                "recent": (recent or {}).get(cause, 0),
                "example": _line(example) if example else None,
            }
        )
    return sorted(found, key=lambda cause: (not cause["rejected"], -int(cause["count"])))


def _line(example: dict[str, Any]) -> str:
    """An example of a cause in a line: which, and what was wrong with it."""
    if "index" not in example:
        latency = example.get("latency_seconds")
        after = f" after {latency:.1f} s" if isinstance(latency, int | float) else ""
        return f"task {example.get('unit')}, attempt {example.get('attempt')}{after}"
    detail = " ".join(str(example.get("detail", "")).split())
    return f"example {example['index'] + 1}: {detail}"[:_MOST_DETAIL]
