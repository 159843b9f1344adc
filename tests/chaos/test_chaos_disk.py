"""Disks that are full: of the collector, of an export, of a worker's journal."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from chaos_run import Run
from faults import fill, small_disk

from ledger import keys

pytestmark = pytest.mark.chaos


def test_the_disk_is_full_while_collecting(chaos: Callable[..., Run]) -> None:
    """The collector says so, takes nothing off the queue, and goes on by itself when there is room."""
    with chaos() as run, small_disk(run.results, 20_000):
        run.go()
        run.at(0.2)
        with run.fault():
            filler = fill(run.results)
            run.fleet.until(lambda: "No space left" in run.collector.err, "the collector says so")
            run.at(0.6)
            before = run.uncollected()
            time.sleep(2)
            assert run.uncollected() >= before > 0
            filler.unlink()
        assert not run.ends().paid_twice


def test_the_disk_is_full_while_exporting(chaos: Callable[..., Run]) -> None:
    """An export that finds no room says so in a sentence and leaves nothing behind; with room, it is made."""
    with chaos() as run:
        run.go()
        run.ends()
        with small_disk(run.folder / "small", 64) as disk:
            for ending in ("jsonl", "parquet", "csv", "chat.jsonl"):
                target = disk / f"dataset.{ending}"
                refused = run.fleet.genfleet("export", "--from", str(run.results), "--to", str(target), code=2)
                assert "cannot be written (" in refused.err
                assert "Traceback" not in refused.err
                assert list(disk.iterdir()) == []
        target = run.folder / "dataset.jsonl"
        run.fleet.genfleet("export", "--from", str(run.results), "--to", str(target))
        assert len(target.read_text("utf-8").splitlines()) == run.shape.count


def test_the_journals_disk_is_full(chaos: Callable[..., Run]) -> None:
    """While Redis is away and the disk is full, what was paid for waits in memory, and is settled in the end."""
    with chaos() as run, small_disk(run.folder / "machine-1", 1_000), small_disk(run.folder / "machine-2", 1_000):
        run.go()
        run.at(0.2)
        with run.fault():
            for machine in run.machines:
                fill(run.folder / machine.name)
            run.broker.kill()
            run.fleet.until(
                lambda: all("journal cannot be written" in machine.command.err for machine in run.machines),
                "the journals cannot be written",
            )
            time.sleep(3)
            run.broker.start()
        assert not run.ends().paid_twice
        run.fleet.until(lambda: run.fleet.redis.exists(keys.JANITOR), "housekeeping goes on")
