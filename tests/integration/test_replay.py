"""What a worker had on its disk when it died, brought to a ledger that has lost the job meanwhile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ledger_bench import Bench, Job

from ledger import keys
from ledger.jobs import create
from workers.clerk import Clerk
from workers.journal import Journal
from workers.patience import Stopped
from workers.replay import replay


def left_behind(bench: Bench, folder: Path) -> Job:
    """A job that the broker has lost, and the journal of a worker that had its answer and died."""
    job = bench.job(bench.model(price=(1, 1)), units=2)
    grant = job.granted(0, "old")
    bench.redis.delete(*bench.redis.scan_iter(f"{keys.job(job.id)}*"))
    journal = Journal(folder / "dying", "w")

    async def die() -> None:
        clerk = Clerk(bench.url, "w", journal)
        clerk.patience.late = True
        attempt = {"unit": 0, "outcome": "accepted", "worker": "w"}
        examples = [{"index": 0, "outcome": "accepted", "output": {"a": "è"}}]
        told = (0, "old", grant.incarnation, job.settlement("accepted", cost=50), attempt, examples)
        with pytest.raises(Stopped):
            await clerk.settle(job.id, job.model.name, *told)
        await clerk.close()

    bench.run(die())
    shutil.copy(folder / "dying" / "w.jsonl", folder)
    journal.done("old")
    create(bench.redis, job.id, job.spec, job.model, [job.model], 2)
    job.register(2)
    return job


def replayed(bench: Bench, folder: Path) -> None:
    """Another worker of the machine starts."""
    journal = Journal(folder, "next")

    async def start() -> None:
        clerk = Clerk(bench.url, "next", journal)
        await replay(journal, clerk)
        await clerk.close()

    bench.run(start())


def lines(path: Path) -> list[Any]:
    """The settlements of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_answer_from_before_the_loss_is_settled_once(bench: Bench, tmp_path: Path) -> None:
    """The journal names the incarnation, so the answer is taken for what it is; replayed again it changes nothing."""
    job = left_behind(bench, tmp_path)
    shutil.copy(tmp_path / "w.jsonl", tmp_path / "again")
    replayed(bench, tmp_path)
    assert (job.status().accepted, job.money()) == (1, (50, 0, 0))
    assert not (tmp_path / "w.jsonl").exists()
    shutil.copy(tmp_path / "again", tmp_path / "w.jsonl")
    replayed(bench, tmp_path)
    assert (job.status().accepted, job.money()) == (1, (50, 0, 0))
    assert not list(tmp_path.glob("*.unsettled"))


def test_a_line_of_an_older_version_is_set_aside(bench: Bench, tmp_path: Path) -> None:
    """It names no incarnation: nothing is charged that may have been charged before, and nothing is thrown away."""
    job = left_behind(bench, tmp_path)
    [line] = lines(tmp_path / "w.jsonl")
    del line["incarnation"]
    (tmp_path / "w.jsonl").write_text(json.dumps(line) + "\n")
    replayed(bench, tmp_path)
    assert (job.status().accepted, job.money()) == (0, (0, 0, 0))
    assert lines(tmp_path / "next.unsettled") == [line]
    assert not (tmp_path / "w.jsonl").exists()


@pytest.mark.parametrize("damage", ["not a settlement", {"token": "old", "incarnation": "x"}, {}, "unit"])
def test_a_line_that_is_none_is_set_aside(bench: Bench, tmp_path: Path, damage: Any) -> None:
    """Whatever else stands in a journal is kept too, and the rest is settled."""
    job = left_behind(bench, tmp_path)
    whole = (tmp_path / "w.jsonl").read_text()
    if damage == "unit":
        damage = json.loads(whole) | {"unit": "first", "token": "other"}
    (tmp_path / "w.jsonl").write_text(json.dumps(damage) + "\n" + whole)
    replayed(bench, tmp_path)
    assert job.status().accepted == 1
    assert lines(tmp_path / "next.unsettled") == [damage]
