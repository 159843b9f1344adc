"""Stream entries and what must be stored of them, and a collector that dies at a given step."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ledger.attempt_rows import COLUMNS
from ledger.parts import KINDS, Entry, Kind, Parts

EXHAUSTED = 1_000
COUNTED = ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens")


class Crash(BaseException):
    """The process dies here."""


def entry(number: int, outcomes: str = "a") -> Entry:
    """The stream entry of one attempt with one example for each letter of `outcomes`: accepted or rejected."""
    names = {"a": "accepted", "r": "rejected"}
    examples = [{"id": f"{number}.{k}", "outcome": names[letter]} for k, letter in enumerate(outcomes)]
    return f"{1 + number // 3}-{number % 3 * 5}", json.dumps({"unit": number}).encode(), json.dumps(examples).encode()


def attempt_of(record: dict[str, Any], examples: list[dict[str, Any]]) -> dict[str, Any]:
    """The record as it is stored: every column, and how many examples were stored with it."""
    outcomes = [example["outcome"] for example in examples]
    counts = {"accepted": outcomes.count("accepted"), "rejected": outcomes.count("rejected")}
    return dict.fromkeys(COLUMNS) | dict.fromkeys(COUNTED, 0) | record | counts


def rows_of(entries: list[Entry]) -> dict[Kind, list[Any]]:
    """What must be stored of these entries."""
    examples = [example for _, _, listed in entries for example in json.loads(listed)]
    return {
        "attempts": [attempt_of(json.loads(attempt), json.loads(listed)) for _, attempt, listed in entries],
        "accepted": [example for example in examples if example["outcome"] == "accepted"],
        "rejected": [example for example in examples if example["outcome"] == "rejected"],
    }


def stored(directory: Path) -> dict[Kind, list[Any]]:
    return {kind: list(Parts(directory).iterate(kind)) for kind in KINDS}


@contextmanager
def crashing(at: int) -> Iterator[list[int]]:
    """Let the process die at the given one of the steps that change the disk: before odd ones, after even ones."""
    steps = [0]

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:
            steps[0] += 2
            if steps[0] - 1 == at:
                raise Crash
            result = change(*args, **named)
            if steps[0] == at:
                raise Crash
            return result

        return step

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "replace", "unlink"):
            patch.setattr(os, name, dying(getattr(os, name)))
        yield steps


def collect(stream: list[Entry], directory: Path, batch: int, crash_at: int) -> int:
    """Collect as the collector does, with a crash somewhere; return the steps done, EXHAUSTED where none was left."""
    parts = Parts(directory)
    with crashing(crash_at) as steps:
        try:
            while stream:
                parts.write(stream[:batch])
                del stream[:batch]
                parts.compact(least=3)
            parts.compact(least=2)
        except Crash:
            return steps[0]
        finally:
            parts.close()
    return EXHAUSTED
