"""A job that the broker has lost: what its part files tell is in the ledger again, and what was in flight too."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_bench import Bench, Job, done

from ledger import fleet, keys, limits, restored, todo
from ledger.collector import Collector
from ledger.connection import clock
from ledger.damaged import Damaged
from ledger.jobs import create
from ledger.leases import Drop
from ledger.part_files import StreamId
from producers import collected
from producers.collected import Collected
from producers.plan import SubmitError


def lost(bench: Bench, job: Job) -> None:
    """The broker loses all that it holds of the job, its model and its workers, and somebody submits it again."""
    name = job.model.name
    bench.redis.delete(keys.model(name), keys.window(name), *bench.redis.scan_iter(f"{keys.job(job.id)}*"))
    bench.redis.delete(*(keys.worker(worker, "leases") for worker in ("w", "other")))
    limits.declare(bench.redis, job.model)
    create(bench.redis, job.id, job.spec, job.model, [job.model], job.spec.total)


def attempt(job: Job, unit: int, outcome: str = "accepted", cost: int | None = 70) -> dict[str, object]:
    """An attempt as a worker writes it."""
    figures = {"prompt_tokens": 10, "completion_tokens": 20, "cached_tokens": 5, "cost_nano_usd": cost}
    names = {"job": job.id, "unit": unit, "attempt": 1, "outcome": outcome, "reason": "invalid"}
    return names | figures


def settled(bench: Bench, job: Job, unit: int, outcome: str) -> None:
    """Settles a task with the records of a worker."""
    grant = job.granted(unit)
    reason = "" if outcome == "accepted" else "invalid"
    used = {"prompt_tokens": 10, "completion_tokens": 20, "cached_tokens": 5}
    settlement = job.settlement(outcome, cost=70, reason=reason, **used)  # type: ignore[arg-type]
    example = {"index": unit, "job": job.id, "outcome": outcome, "reason": reason}
    examples = [] if outcome == "again" else [example]
    leases = bench.direct("w")
    record = attempt(job, unit, outcome)
    told = (unit, f"t{unit}", grant.incarnation, settlement, record, examples)
    assert done(leases.settle(job.id, job.model.name, *told)) == "settled"


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


def in_flight_when_lost(bench: Bench, units: int = 2) -> Job:
    """A job whose first task was in flight, as "old", when the broker lost it and it was submitted again, plainly."""
    job = bench.job(bench.model(price=(1, 1)), units=units)
    job.granted(0, "old")
    lost(bench, job)
    return job


def orphans(bench: Bench, job: Job) -> set[bytes]:
    """The tokens that the ledger keeps of attempts from before it lost the job."""
    found: set[bytes] = bench.redis.smembers(keys.job(job.id, "orphans"))
    return found


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
    assert job.settle(3, cost=50) == "gone"
    bench.redis.hset(keys.job(job.id), "cursor", 5)
    spent = job.status().cost_nano_usd
    assert [job.settle(3, cost=50) for _ in range(3)] == ["settled", "repeat", "repeat"]
    assert job.status().cost_nano_usd == spent + 50
    assert job.admit(3) == Drop("settled")


def test_an_answer_that_missed_the_loss_is_settled_too(bench: Bench, tmp_path: Path) -> None:
    """A worker that did not ask while its job was lost is settled once, and only such tokens are kept."""
    job, found = made(bench, tmp_path)
    job.granted(3)
    lost(bench, job)
    restored.restore(bench.redis, job.id, found.books, found.last)
    job.register(5)
    spent = job.status().cost_nano_usd
    assert [job.settle(3, cost=50) for _ in range(3)] == ["settled", "repeat", "repeat"]
    assert job.status().cost_nano_usd == spent + 50
    # What was admitted since is known by its lease.
    job.granted(4)
    assert [job.settle(4, cost=70) for _ in range(3)] == ["settled", "repeat", "repeat"]
    assert job.status().cost_nano_usd == spent + 120
    assert orphans(bench, job) == {b"t3"}


def test_a_plain_submission_after_a_loss_takes_what_was_in_flight(bench: Bench) -> None:
    """The answer of a worker that did not ask meanwhile is settled once; its repetition changes nothing."""
    job = in_flight_when_lost(bench)
    job.register(2)
    assert job.settle(0, "old", cost=50) == "settled"
    after = job.snapshot()
    assert job.settle(0, "old", cost=50) == "repeat"
    assert job.snapshot() == after
    status = job.status()
    assert (status.accepted, status.attempts, job.money()) == (1, 1, (50, 0, 0))
    assert set(job.part("todo")) == {"1"}


def test_a_call_without_an_answer_is_not_waited_for(bench: Bench) -> None:
    """Nothing of it can be settled in a job that was lost: what was reserved for it is lost too."""
    job = in_flight_when_lost(bench)
    assert job.settle(0, "old", outcome="again", cost=None) == "repeat"
    assert job.money() == (0, 0, 0)


def test_a_job_that_is_known_keeps_its_incarnation(bench: Bench) -> None:
    """The same submission again makes no orphans: a grant given again is settled by its lease, and once."""
    job = bench.job(bench.model(price=(1, 1)))
    first = job.granted()
    assert not create(bench.redis, job.id, job.spec, job.model, [job.model], 1)
    assert job.granted() == first
    assert first.incarnation
    assert [job.settle(cost=50) for _ in range(2)] == ["settled", "repeat"]
    assert orphans(bench, job) == set()
    lost(bench, job)
    job.register(1)
    assert job.granted(0, "new").incarnation != first.incarnation


@pytest.mark.parametrize("first", ["old", "new"])
def test_of_an_orphan_and_a_new_attempt_the_first_wins(bench: Bench, first: str) -> None:
    """The other is a duplicate; both are charged, once, and the new lease ends whichever comes first."""
    job = in_flight_when_lost(bench)
    job.register(2)
    job.granted(0, "new", "other")
    assert job.in_flight() == 1
    order = {"old": ("old", "w"), "new": ("new", "other")}
    second = "new" if first == "old" else "old"
    assert job.settle(0, *order[first], cost=50) == "settled"
    # An orphan leaves the lease of the call that is under way alone.
    assert job.in_flight() == (1 if first == "old" else 0)
    assert job.settle(0, *order[second], cost=70) == "duplicate"
    after = job.snapshot()
    assert [job.settle(0, *order[name], cost=50) for name in ("old", "new")] == ["repeat", "repeat"]
    assert job.snapshot() == after
    status = job.status()
    assert (status.accepted, status.attempts, job.money()) == (1, 2, (120, 0, 0))
    assert status.duplicates == 1
    assert (job.in_flight(), job.part("leases")) == (0, {})
    assert not bench.redis.exists(keys.worker("other", "leases"))


@pytest.mark.parametrize("end", ["asks again", "fails", "dies"])
def test_the_lease_of_a_call_that_an_orphan_came_before_ends(bench: Bench, end: str) -> None:
    """However its attempt ends, the slot is free again and no money stays reserved; the job is complete meanwhile."""
    job = in_flight_when_lost(bench, units=1)
    job.register(1)
    job.granted(0, "new", "other")
    assert job.settle(0, "old", cost=50) == "settled"
    assert job.status().state == "complete"
    if end == "asks again":
        assert job.admit(0, "new", "other") == Drop("settled")
    elif end == "fails":
        assert job.settle(0, "new", "other", "again", reason="rate_limit", retry_after_ms=0) == "settled"
        assert job.admit(0, "newer", "other") == Drop("settled")
    else:
        assert fleet.reap(bench.redis, "other", now=True) == [(job.id, 0)]
    unknown = 500 if end == "dies" else 0
    assert job.money() == (50, 0, unknown)
    assert (job.in_flight(), job.part("leases"), job.status().state) == (0, {}, "complete")


def test_an_orphan_is_settled_in_every_incarnation_once(bench: Bench) -> None:
    """What was settled in a job that was lost again is in nobody's books: it is settled in the next one."""
    job = in_flight_when_lost(bench)
    job.register(2)
    assert job.settle(0, "old", cost=50) == "settled"
    lost(bench, job)
    job.register(2)
    assert [job.settle(0, "old", cost=50) for _ in range(2)] == ["settled", "repeat"]
    assert job.money() == (50, 0, 0)


def test_poison_of_a_lost_job_gives_up_no_lease(bench: Bench) -> None:
    """No call was made for it, so it has no incarnation: it gives up only a task that is on the list and not leased."""
    job = in_flight_when_lost(bench)
    assert job.settle(0, "p", outcome="rejected", reason="poison") == "repeat"
    job.register(2)
    job.granted(0, "new")
    assert job.settle(0, "p", outcome="rejected", reason="poison") == "repeat"
    assert job.settle(1, "q", outcome="rejected", reason="poison") == "settled"
    assert orphans(bench, job) == set()


def test_an_answer_that_the_broker_forgot_with_its_task_is_settled(bench: Bench) -> None:
    """Where the last of what the broker held is lost, and not the job, it waits for its task and is settled once."""
    job = bench.job(bench.model(price=(1, 1)), units=2)
    job.granted(1, "late")
    # As it stood before the second task was registered and admitted.
    for part in ("leases", "tries"):
        bench.redis.delete(keys.job(job.id, part))
    bench.redis.hdel(keys.job(job.id, "todo"), 1)
    bench.redis.hset(keys.job(job.id), mapping={"cursor": 1, "reserved": 0})
    assert [job.settle(1, "late", cost=50) for _ in range(2)] == ["gone", "gone"]
    job.register(1)
    assert [job.settle(1, "late", cost=50) for _ in range(2)] == ["settled", "repeat"]
    assert (job.status().accepted, job.money()) == (1, (50, 0, 0))


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


@pytest.mark.parametrize("field", ["cursor", "attempts"])
def test_a_job_whose_counts_are_none_is_named(bench: Bench, field: str) -> None:
    """Whoever asks how far it is hears that it is damaged, and nothing is enqueued or restored by guess."""
    job = bench.job(bench.model(), units=1)
    bench.redis.hset(keys.job(job.id), mapping={"cursor": 0, field: ":"})
    with pytest.raises(Damaged, match=job.id):
        restored.known(bench.redis, job.id)
    if field == "cursor":
        with pytest.raises(Damaged, match=f'how far job "{job.id}" has been enqueued'):
            todo.cursor(bench.redis, job.id)
