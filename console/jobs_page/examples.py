"""A job's newest examples as its page shows them: the accepted to be read, the rejected with reason and raw answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from console.jobs_page.causes import class_name
from console.reader import as_html, readable
from ledger.latest import Latest

_SHORT = 80  # characters of a variable that stands beside an example


def examples(latest: Latest, known: str = "") -> dict[str, Any]:
    """All of them, or `same` where none is newer than the moment `known`, which an earlier answer had as `newest`."""
    records = [*latest.accepted, *(one for of in latest.causes.values() for one in of)]
    newest = max((str(one["at"]) for one in records), default="")
    if newest and newest == known:
        return {"newest": newest, "same": True}
    return {
        "newest": newest,
        "accepted": [_accepted(one) for one in latest.accepted if isinstance(one.get("output"), dict)],
        "causes": {name: [_failed(one) for one in of] for name, of in latest.causes.items()},
        "classes": {name: class_name(name.partition(":")[2]) for name in latest.causes},
    }


def _accepted(example: dict[str, Any]) -> dict[str, Any]:
    return _facts(example) | {"html": str(as_html(readable(example["output"])))}


def _failed(example: dict[str, Any]) -> dict[str, Any]:
    raw = example.get("raw")
    return _facts(example) | {"detail": str(example.get("detail", "")), "raw": raw if isinstance(raw, str) else None}


def _facts(example: dict[str, Any]) -> dict[str, Any]:
    index, variables = example.get("index"), example.get("variables")
    return {
        "name": f"example {index + 1}" if isinstance(index, int) else f"task {example.get('unit')}",
        "recipe": example.get("recipe"),
        "at": example["at"],
        "facts": list(_said(example)),
        "variables": _short(variables.items()) if isinstance(variables, dict) else [],
    }


def _said(example: dict[str, Any]) -> Iterable[str]:
    if example.get("answered_by"):
        yield str(example["answered_by"])
    if isinstance(example.get("latency_seconds"), int | float):
        yield f"{example['latency_seconds']:.1f} s"
    if isinstance(example.get("cost_usd"), int | float):
        yield f"${example['cost_usd']:.6f}"
    attempt = example.get("attempts") or example.get("attempt")
    if isinstance(attempt, int) and attempt > 1:
        yield f"attempt {attempt}"


def _short(variables: Iterable[tuple[str, Any]]) -> list[list[str]]:
    return [
        [name, str(value)]
        for name, value in variables
        if isinstance(value, str | int | float) and len(str(value)) <= _SHORT
    ]
