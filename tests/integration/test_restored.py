"""A job that the broker has lost: what its part files tell is in the ledger again, and what was in flight too."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_bench import Bench, Job, done

from ledger import keys, restored, todo
from ledger.collector import Collector
from ledger.connection import clock
from ledger.jobs import create
from ledger.leases import Drop
from ledger.part_files import StreamId
from producers import collected
from producers.collected import Collected
from producers.plan import SubmitError


def lost(bench: Bench, job: Job) -> None:
    """The broker loses all that it holds of the job, and somebody submits it again."""
    for key in bench.redis.scan_iter(f"{keys.job(job.id)}*"):
        bench.redis.delete(key)
    create(bench.redis, job.id, job.spec, job.model, [job.model], job.spec.total)


def attempt(job: Job, unit: int, outcome: str = "accepted", cost: int | None = 70) -> dict[str, object]:
    """An attempt as a worker writes it."""
    figures = {"prompt_tokens": 10, "completion_tokens": 20, "cached_tokens": 5, "cost_nano_usd": cost}
    names = {"job": job.id, "unit": unit, "attempt": 1, "outcome": outcome, "reason": "invalid"}
    return names | figures


def settled(bench: Bench, job: Job, unit: int, outcome: str) -> None:
    """Settles a task with the records of a worker."""
    job.granted(unit)
    reason = "" if outcome == "accepted" else "invalid"
    used = {"prompt_tokens": 10, "completion_tokens": 20, "cached_tokens": 5}
    settlement = job.settlement(outcome, cost=70, reason=reason, **used)  # type: ignore[arg-type]
    example = {"index": unit, "job": job.id, "outcome": outcome, "reason": reason}
    examples = [] if outcome == "again" else [example]
    leases = bench.direct("w")
    record = attempt(job, unit, outcome)
    assert done(leases.settle(job.id, job.model.name, unit, f"t{unit}", settlement, record, examples)) == "settled"


def made(bench: Bench, folder: Path) -> tuple[Job, Collected]:
    """A job of five tasks, of which one was accepted, one rejected and one tried in vain, collected."""
    job = bench.job(bench.model(price=(1, 10)), units=5)
    for unit, outcome in enumerate(("accepted", "rejected", "again")):
        settled(bench, job, unit, outcome)
    collector = Collector(bench.redis, job.id, folder)
    collector.drain()
    collector.close()
    found = collected.read(folder, job.id, job.spec)
    # The bench has a clock of its own, which is far ahead of the server's.
    found.last = StreamId(1, 0)
    return job, found


def test_the_books_are_those_of_the_files(bench: Bench, tmp_path: Path) -> None:
    """Counts, tokens, money and reasons of what was collected are in the ledger again, once."""
    job, found = made(bench, tmp_path)
    before = job.status()
    lost(bench, job)
    for _ in range(2):
        restored.restore(bench.redis, job.id, found.books, found.last)
    after = job.status()
    same = ("accepted", "rejected", "attempts", "prompt_tokens", "completion_tokens", "cost_nano_usd", "reasons")
    assert {name: getattr(before, name) for name in same} == {name: getattr(after, name) for name in same}
    assert restored.restored(bench.redis, job.id)


def test_a_job_that_is_not_lost_is_not_restored(bench: Bench, tmp_path: Path) -> None:
    """Books of a job that the ledger knows stay as they are."""
    job, found = made(bench, tmp_path)
    with pytest.raises(restored.StillThere, match="submit it without --resume"):
        restored.restore(bench.redis, job.id, found.books, found.last)


def test_a_broker_whose_clock_is_behind_is_refused(bench: Bench, tmp_path: Path) -> None:
    """Its results would come before those that were collected, and be taken for them."""
    job, found = made(bench, tmp_path)
    lost(bench, job)
    later = StreamId(int(clock(bench.redis) * 1000) + 3_600_900, 0)
    with pytest.raises(restored.ClockBehind, match=r"clock is 360[01] s behind"):
        restored.restore(bench.redis, job.id, found.books, later)


def test_files_of_another_job_are_refused(bench: Bench, tmp_path: Path) -> None:
    """Their examples are no answers to this job's questions; and a folder without any is none at all."""
    job, _ = made(bench, tmp_path / "one")
    with pytest.raises(SubmitError, match=f"holds results of job {job.id}, and this would be other-0123456789"):
        collected.read(tmp_path / "one", "other-0123456789", job.spec)
    with pytest.raises(SubmitError, match="holds no results"):
        collected.read(tmp_path / "two", job.id, job.spec)


def test_an_answer_finds_its_lost_job_again(bench: Bench, tmp_path: Path) -> None:
    """Told that the job is gone, or not yet so far again, it is settled once when its task is on the list."""
    job, found = made(bench, tmp_path)
    job.granted(3)
    lost(bench, job)
    bench.redis.delete(keys.job(job.id))
    assert job.settle(3, cost=50) == "gone"
    create(bench.redis, job.id, job.spec, job.model, [job.model], 5)
    restored.restore(bench.redis, job.id, found.books, found.last)
    job.register(5)
    bench.redis.hset(keys.job(job.id), "cursor", 3)
    assert job.settle(3, cost=50, orphan=True) == "gone"
    bench.redis.hset(keys.job(job.id), "cursor", 5)
    spent = job.status().cost_nano_usd
    assert [job.settle(3, cost=50, orphan=True) for _ in range(3)] == ["settled", "repeat", "repeat"]
    assert job.status().cost_nano_usd == spent + 50
    assert job.admit(3) == Drop("settled")


def test_an_answer_that_missed_the_loss_is_settled_too(bench: Bench, tmp_path: Path) -> None:
    """A worker that did not ask while its job was lost is settled once, when the task is on the list; so are others."""
    job, found = made(bench, tmp_path)
    job.granted(3)
    lost(bench, job)
    restored.restore(bench.redis, job.id, found.books, found.last)
    assert job.settle(3, cost=50) == "gone"
    job.register(5)
    spent = job.status().cost_nano_usd
    assert [job.settle(3, cost=50) for _ in range(3)] == ["settled", "repeat", "repeat"]
    assert job.status().cost_nano_usd == spent + 50
    # What was admitted since is known by its lease.
    job.granted(4)
    assert [job.settle(4, cost=70) for _ in range(3)] == ["settled", "repeat", "repeat"]
    assert job.status().cost_nano_usd == spent + 120


def test_tasks_that_were_collected_are_passed_over(bench: Bench, tmp_path: Path) -> None:
    """What was rejected can be tried again, and what may have been billed without an answer is named."""
    job, found = made(bench, tmp_path)
    kept = job.part("rejected")
    listed = {unit: todo.task_of(text) for unit, text in job.part("todo").items()}
    lost(bench, job)
    passed = [restored.Passed(1, kept["1"].partition(" ")[2], "invalid", 0, 900)]
    passed += [restored.Passed(2, "", None, 2, 900)]
    with bench.redis.pipeline() as pipe:
        restored.pass_over(pipe, job.id, passed)
        pipe.execute()
    assert job.part("rejected") == kept
    assert sorted(job.part("unknown").values()) == ["900 0", "900 0"]
    assert job.status().unknown_usd == 1_800 / 1e9
    assert set(listed) == {"2", "3", "4"}
    assert found.books.accepted == found.books.rejected == 1
