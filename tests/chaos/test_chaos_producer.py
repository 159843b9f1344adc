"""Producers and collectors that are killed and started again, or started twice by mistake."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos_run import Run, Shape

from ledger import keys

pytestmark = pytest.mark.chaos

#: Small steps, so that a producer is at work as long as its job runs.
DEPTH = {"GENFLEET_QUEUE_DEPTH": "100"}


def test_the_producer_is_killed_and_started_again(chaos: Callable[..., Run]) -> None:
    """SIGKILL at moments drawn by chance: the same submission goes on with the same tasks, and none is made twice."""
    chance = random.Random(20_508)
    with chaos(Shape(count=900)) as run:
        run.workers()
        run.submit_meanwhile(**DEPTH)
        run.collector = run.collect()
        asked = run.questions()
        for share in sorted(chance.uniform(0.02, 0.6) for _ in range(3)):
            run.at(share)
            run.producer.end(signal.SIGKILL)
            run.submit_meanwhile(**DEPTH)
        assert run.producer.wait().code == 0
        census = run.ends()
        assert not census.paid_twice
        # Again from the beginning, the job would be the same one.
        found = {
            row["index"]: f"{row['variables']['numero']} {row['variables']['tema']}" for row in census.disk.accepted
        }
        assert [found[index] for index in range(len(asked))] == asked
        assert len(set(found.values())) == run.shape.count


def test_the_producer_is_killed_at_its_first_steps(chaos: Callable[..., Run]) -> None:
    """SIGKILL a few milliseconds after the job is known, again and again, until one comes to its end."""
    chance = random.Random(20_508)
    with chaos() as run:
        run.workers()
        for _ in range(4):
            run.producer = run.fleet.start("submit", "small", "--count", str(run.shape.count), **DEPTH)
            run.fleet.until(lambda: run.fleet.redis.zcard(keys.JOBS) or not run.producer.runs, "the job is known")
            time.sleep(chance.uniform(0.0, 0.05))
            if run.producer.runs:
                run.producer.end(signal.SIGKILL)
        run.submit_meanwhile(**DEPTH)
        run.collector = run.collect()
        assert run.producer.wait().code == 0
        assert not run.ends().paid_twice


def test_two_producers_by_mistake(chaos: Callable[..., Run]) -> None:
    """The second of the same job is refused with a sentence while the first is at work; nothing is made twice."""
    with chaos() as run:
        run.workers()
        run.submit_meanwhile(**DEPTH)
        run.collector = run.collect()
        with run.slow_calls():
            second = run.fleet.genfleet("submit", "small", "--count", str(run.shape.count), code=2, **DEPTH)
        assert "is being enqueued by another producer" in second.err
        assert run.producer.wait().code == 0
        assert not run.ends().paid_twice


def test_the_collector_is_killed_again_and_again(chaos: Callable[..., Run]) -> None:
    """SIGKILL at moments drawn by chance: the part files hold every example and every attempt once."""
    chance = random.Random(20_508)
    with chaos() as run:
        run.go()
        for share in sorted(chance.uniform(0.05, 0.9) for _ in range(5)):
            run.at(share)
            time.sleep(chance.uniform(0.0, 0.5))
            run.collector.end(signal.SIGKILL)
            run.collector = run.collect()
        census = run.ends()
        attempts = [(row["unit"], row["attempt"]) for row in census.disk.attempts]
        assert len(attempts) == len(set(attempts)) == run.shape.count
        assert not census.paid_twice


def test_two_collectors_by_mistake(chaos: Callable[..., Run]) -> None:
    """A second collector is refused with a sentence, be it for the same folder or for another."""
    with chaos() as run:
        run.go()
        run.at(0.1)
        with run.slow_calls():
            same = run.fleet.genfleet("collect", run.job, "--to", str(run.results), code=2)
            other = run.fleet.genfleet("collect", run.job, "--to", str(run.folder / "other"), code=2)
        assert "is being collected to" in same.err
        assert "is being collected to" in other.err
        assert not list((run.folder / "other").rglob("part-*"))
        run.ends()
        # What was collected goes nowhere else either.
        late = run.fleet.genfleet("collect", run.job, "--to", str(run.folder / "other"), code=2)
        assert "was collected in part to" in late.err


def test_an_export_is_killed_and_made_again(chaos: Callable[..., Run]) -> None:
    """SIGKILL while it writes leaves no half of a dataset, and the next one is whole."""
    with chaos() as run:
        run.go()
        census = run.ends()
        target = run.folder / "dataset.jsonl"
        chance = random.Random(20_508)
        arguments = ("export", "--from", str(run.results), "--to", str(target))
        began = time.monotonic()
        run.fleet.genfleet(*arguments)
        seconds = time.monotonic() - began
        target.unlink()
        for _ in range(4):
            export = run.fleet.start(*arguments)
            time.sleep(seconds * chance.uniform(0.5, 1.0))
            export.end(signal.SIGKILL)
            assert not target.exists() or _rows(target) == len(census.accepted)
        run.fleet.genfleet(*arguments)
        assert _rows(target) == len(census.accepted)


def _rows(path: Path) -> int:
    return len({json.loads(line)["id"] for line in path.read_text("utf-8").splitlines()})
