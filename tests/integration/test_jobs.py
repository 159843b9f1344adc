"""Jobs in the ledger: made once, enqueued once, acted on by people, on real servers."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis
from ledger_bench import Bench, Job

from ledger import jobs, keys, todo
from ledger.jobs import JobNotFound
from ledger.leases import Drop
from ledger.status import status_of
from ledger.todo import BeingSubmitted


def test_a_job_is_made_once(bench: Bench) -> None:
    """Submitting the same work again finds the job as it is."""
    job = bench.job(bench.model(), units=2)
    job.granted(0)
    job.settle(0)
    jobs.set_state(bench.redis, job.id, "paused")
    before = job.snapshot()
    assert not jobs.create(bench.redis, job.id, job.spec, job.model, [job.model], 2)
    assert job.snapshot() == before
    assert jobs.spec(bench.redis, job.id) == job.spec
    assert jobs.ids(bench.redis) == [job.id]


def test_a_job_that_was_half_made_is_made_whole(bench: Bench) -> None:
    """What a producer left undone when it died, the next one does."""
    job = bench.job(bench.model(), units=2)
    whole = job.snapshot()
    bench.redis.delete(keys.job(job.id, "spec"), keys.JOBS)
    bench.redis.hdel(keys.job(job.id), "state", "price_in")
    assert not jobs.create(bench.redis, job.id, job.spec, job.model, [job.model], 2)
    assert job.snapshot().keys() == whole.keys()
    assert jobs.spec(bench.redis, job.id) == job.spec
    assert jobs.ids(bench.redis) == [job.id]
    job.granted()


def test_money_is_reserved_at_the_dearest_price_of_all_that_may_answer(bench: Bench) -> None:
    """A fallback that costs more is what the worst case is."""
    cheap, dear_in, dear_out = bench.model(price=(1, 2)), bench.model(price=(5, 1)), bench.model(price=(2, 7))
    job = bench.job(cheap)
    other = f"{job.id}-other"
    assert jobs.create(bench.redis, other, job.spec, cheap, [cheap, dear_in, dear_out], 1)
    assert bench.redis.hmget(keys.job(other), ["price_in", "price_out"]) == [b"5", b"7"]


def test_registering_moves_the_cursor_behind_the_tasks(bench: Bench) -> None:
    """A producer that is interrupted goes on where it stopped; doing a piece twice changes nothing."""
    job = bench.job(bench.model(), units=5, registered=3)
    assert todo.cursor(bench.redis, job.id) == 3
    before = job.snapshot()
    bench.redis.hset(keys.job(job.id), "cursor", 0)
    job.register(3)
    assert job.snapshot() == before
    job.register(2)
    assert sorted(todo.unsettled(bench.redis, job.id)) == [0, 1, 2, 3, 4]


def test_one_producer_at_a_time(bench: Bench) -> None:
    """A second producer is told so until the first lets go; the first may hold on."""
    todo.hold(bench.redis, "j", "a")
    todo.hold(bench.redis, "j", "a")
    with pytest.raises(BeingSubmitted, match='job "j" is being enqueued by another producer'):
        todo.hold(bench.redis, "j", "b")
    todo.let_go(bench.redis, "j", "b")
    with pytest.raises(BeingSubmitted):
        todo.hold(bench.redis, "j", "b")
    todo.let_go(bench.redis, "j", "a")
    todo.hold(bench.redis, "j", "b")


def test_a_producer_that_died_holds_nothing_for_long(bench: Bench) -> None:
    """The hold ends by the server's clock."""
    todo.hold(bench.redis, "j", "a", seconds=30)
    assert 0 < bench.redis.ttl(keys.job("j", "producer")) <= 30


def test_jobs_are_found_by_id_by_beginning_or_as_the_newest(bench: Bench) -> None:
    """An id wins over longer ids that begin with it; what is unknown or ambiguous is said."""
    with pytest.raises(JobNotFound, match="there is no job yet"):
        jobs.find(bench.redis, None)
    for at, name in enumerate(["quiz-1", "quiz-11", "rag-2"]):
        bench.redis.zadd(keys.JOBS, {name: at})
    assert jobs.find(bench.redis, None) == "rag-2"
    assert jobs.find(bench.redis, "quiz-1") == "quiz-1"
    assert jobs.find(bench.redis, "ra") == "rag-2"
    with pytest.raises(JobNotFound, match='"quiz" could be any of quiz-11, quiz-1'):
        jobs.find(bench.redis, "quiz")
    with pytest.raises(JobNotFound, match='"x" is not in the ledger'):
        jobs.find(bench.redis, "x")


@pytest.mark.parametrize("read", [status_of, jobs.spec])
def test_a_job_that_nobody_knows_is_said_to_be_unknown(bench: Bench, read: Any) -> None:
    """Reading a job that is not there names it and the command that lists jobs."""
    with pytest.raises(JobNotFound, match='job "gone" is not in the ledger; `genfleet status`'):
        read(bench.redis, "gone")


def test_a_state_and_its_note(bench: Bench) -> None:
    """A note stays until the job gets another state."""
    job = bench.job(bench.model())
    jobs.set_state(bench.redis, job.id, "stopped", "add credit.")
    assert (job.status().state, job.status().note) == ("stopped", "add credit.")
    jobs.set_state(bench.redis, job.id, "running")
    assert (job.status().state, job.status().note) == ("running", None)
    assert jobs.state(bench.redis, job.id) == "running"


def finished(job: Job) -> None:
    job.granted()
    job.settle()


@pytest.mark.parametrize("state", ["running", "paused", "cancelled", "stopped", "budget"])
def test_a_complete_job_keeps_its_state(bench: Bench, state: jobs.State) -> None:
    """Whatever a person asks of a job that is complete, it is complete."""
    job = bench.job(bench.model())
    finished(job)
    jobs.set_state(bench.redis, job.id, state)
    assert job.status().state == "complete"


def test_a_cancelled_job_whose_calls_all_ended_is_complete_when_it_is_resumed(bench: Bench) -> None:
    """There is nothing left that could end it later."""
    job = bench.job(bench.model())
    job.granted()
    jobs.set_state(bench.redis, job.id, "cancelled")
    job.settle()
    assert job.status().state == "cancelled"
    jobs.set_state(bench.redis, job.id, "cancelled")
    assert job.status().state == "cancelled"
    seconds = job.status().seconds
    jobs.set_state(bench.redis, job.id, "running")
    assert (job.status().state, job.status().seconds) == ("complete", seconds)


def test_a_job_that_is_not_all_enqueued_is_not_complete_when_it_is_resumed(bench: Bench) -> None:
    """An empty list is no end while the producer has more."""
    job = bench.job(bench.model(), units=2, registered=1)
    finished(job)
    jobs.set_state(bench.redis, job.id, "paused")
    jobs.set_state(bench.redis, job.id, "running")
    assert job.status().state == "running"


def test_pausing_in_the_moment_of_the_last_settlement(bench: Bench) -> None:
    """However pauses and resumptions fall between settlements, the job whose all is settled is complete."""
    model = bench.model()
    waiting = [bench.job(model) for _ in range(150)]
    for job in waiting:
        job.granted()

    def act() -> None:
        with redis.Redis.from_url(bench.url) as client:
            while (reading := jobs.state(client, waiting[-1].id)) != "complete":
                for job in waiting:
                    jobs.set_state(client, job.id, "paused" if reading == "running" else "running")

    actor = threading.Thread(target=act)
    actor.start()
    for job in waiting:
        job.settle()
    actor.join()
    assert {job.status().state for job in waiting} == {"complete"}


def test_the_budget_can_be_set_and_taken_away(bench: Bench) -> None:
    """Without a budget nothing binds."""
    job = bench.job(bench.model(price=(1, 1)), budget=10)
    assert job.status().budget_usd == 1e-8
    assert job.admit() == Drop("budget")
    jobs.set_budget(bench.redis, job.id, None)
    jobs.set_state(bench.redis, job.id, "running")
    assert job.status().budget_usd is None
    job.granted()


def test_unsettled_tasks_are_those_on_the_list_that_nobody_holds(bench: Bench) -> None:
    """Leased tasks and settled ones are not enqueued again."""
    job = bench.job(bench.model(), units=4)
    job.granted(0)
    job.granted(1)
    job.settle(1)
    assert sorted(todo.unsettled(bench.redis, job.id)) == [2, 3]


def rejected_job(bench: Bench) -> Job:
    """Four tasks of two examples: one accepted, three rejected for two reasons; the job is complete."""
    job = bench.job(bench.model(), units=4, items=2)
    for unit, reason in enumerate(["", "invalid", "timeout", "invalid"]):
        job.granted(unit)
        job.settle(unit, outcome="rejected" if reason else "accepted", reason=reason)
    return job


def test_rejected_tasks_are_tried_again(bench: Bench) -> None:
    """They are back on the list and uncounted, the job runs, and they are settled anew."""
    job = rejected_job(bench)
    jobs.set_state(bench.redis, job.id, "stopped", "add credit.")
    assert sorted(todo.reopen(bench.redis, job.id, todo.rejected(bench.redis, job.id, "invalid"))) == [1, 3]
    assert job.status().note is None
    status = job.status()
    assert (status.state, status.accepted, status.rejected, status.waiting) == ("running", 2, 2, 4)
    assert status.reasons == {"rejected:timeout": 2}
    for unit in (1, 3):
        assert job.granted(unit, "anew").attempt == 1
        assert job.settle(unit, "anew") == "settled"
    status = job.status()
    assert (status.state, status.accepted, status.rejected) == ("complete", 6, 2)


def test_tasks_that_two_people_reopen_are_reopened_once(bench: Bench) -> None:
    """The second of two `retry` at once finds nothing left to do."""
    job = rejected_job(bench)
    tasks = list(todo.rejected(bench.redis, job.id))
    assert sorted(todo.reopen(bench.redis, job.id, tasks)) == [1, 2, 3]
    after = job.snapshot()
    assert todo.reopen(bench.redis, job.id, tasks) == []
    assert job.snapshot() == after
    assert job.status().rejected == 0


def test_nothing_to_reopen_changes_nothing(bench: Bench) -> None:
    """A retry for a reason that no task was rejected for leaves the job complete."""
    job = rejected_job(bench)
    assert todo.reopen(bench.redis, job.id, todo.rejected(bench.redis, job.id, "refused")) == []
    assert job.status().state == "complete"


def test_a_reading_adds_up(bench: Bench) -> None:
    """Accepted, rejected, running and waiting are all there is; money is in dollars."""
    job = bench.job(bench.model(price=(0, 1_000_000)), units=5, budget=10**10)
    for unit in range(3):
        job.granted(unit)
    job.settle(0, cost=1_500_000_000)
    job.settle(1, outcome="again", cost=None)
    status = job.status()
    assert (status.total, status.accepted, status.running, status.waiting) == (5, 1, 1, 3)
    assert (status.cost_usd, status.cost_nano_usd) == (1.5, 1_500_000_000)
    assert (status.reserved_usd, status.unknown_usd, status.budget_usd) == (0.4, 0.4, 10.0)
    assert (status.attempts, status.enqueued, status.uncollected, status.recipe) == (2, 5, 2, "quiz")
    assert status.seconds >= 0


def test_the_time_of_a_job_is_from_its_first_call_to_its_last(bench: Bench) -> None:
    """It does not run before the first call, runs while the job runs, stops when all is settled and goes on after."""
    job = bench.job(bench.model(), units=2)
    assert job.status().seconds == 0
    job.granted(0)
    bench.advance(60)
    assert job.status().seconds == 60
    job.settle(0)
    job.granted(1)
    job.settle(1, outcome="rejected")
    assert job.status().seconds == 60
    todo.reopen(bench.redis, job.id, todo.rejected(bench.redis, job.id))
    assert not bench.redis.hexists(keys.job(job.id), "ended_at")
