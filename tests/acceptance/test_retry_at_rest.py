"""`genfleet retry` on a job that rests, and `resume` after it: all that is not accepted goes on."""

from __future__ import annotations

from fleet_bench import MODEL, Command, Fleet

from ledger.status import Status
from workers.app import job_queue

_REFUSING = {"refused": 0.2}


def half_made(fleet: Fleet, count: int = 150, **env: str) -> tuple[Command, str]:
    """A worker, and a job of which some is settled and the rest takes its time."""
    fleet.provide(latency_seconds=0.3, faults=_REFUSING)
    worker = fleet.worker(processes=1, concurrency=10)
    producer = fleet.start("submit", "small", "--count", str(count), **env)
    job = fleet.until(lambda: producer.out.strip() or None, "the job has its id")
    fleet.until_settled(job, 40)
    fleet.provider.control(latency_seconds=2.0)
    return worker, job


def at_rest(fleet: Fleet, job: str, state: str) -> Status:
    """The job in that state with some rejected, some open and none in flight."""
    fleet.until_state(job, state)
    fleet.until(lambda: not fleet.status(job).running, "calls in flight have ended")
    status = fleet.status(job)
    assert status.rejected
    assert status.settled < status.total
    fleet.provider.control(faults={}, latency_seconds=0.1)
    return status


def complete(fleet: Fleet, job: str) -> None:
    """Every example is accepted, and each that was accepted is paid for once."""
    status = fleet.until_state(job, "complete")
    assert (status.accepted, status.rejected) == (status.total, 0)
    assert not [cause for cause in status.reasons if cause.startswith("rejected:")]
    assert (status.duplicates, status.cost_nano_usd) == (0, fleet.billed())
    fleet.genfleet("collect", job)
    assert len({example["id"] for example in fleet.parts(job, "accepted")}) == status.total


def test_a_paused_job_goes_on_with_all_of_it(fleet: Fleet) -> None:
    """Retried while no worker is there, each open task and each retried one is enqueued; resumed, nothing is lost."""
    worker, job = half_made(fleet)
    fleet.genfleet("pause", job)
    paused = at_rest(fleet, job, "paused")
    worker.end()
    assert f"{paused.rejected} tasks rejected are enqueued again" in fleet.genfleet("retry", job).err
    assert fleet.redis.llen(job_queue(MODEL, job)) == 150 - paused.accepted
    assert "running" in fleet.genfleet("resume", job).err
    assert fleet.redis.llen(job_queue(MODEL, job)) == 150 - paused.accepted
    fleet.worker(processes=1)
    complete(fleet, job)


def test_a_job_that_is_retried_and_paused_again_goes_on_with_all_of_it(fleet: Fleet) -> None:
    """What a retry has enqueued and a pause has dropped is enqueued by the resumption, with workers there."""
    _, job = half_made(fleet)
    fleet.genfleet("pause", job)
    at_rest(fleet, job, "paused")
    fleet.genfleet("retry", job)
    fleet.genfleet("pause", job)
    fleet.genfleet("resume", job)
    complete(fleet, job)


def test_a_job_over_its_budget_goes_on_with_all_of_it(fleet: Fleet) -> None:
    """Retried, it meets its budget again; resumed with a higher one, it makes what was open and what was retried."""
    fleet.provide(latency_seconds=0.1, mean_completion_tokens=200, completion_sigma=0.1, faults=_REFUSING)
    fleet.worker(processes=2, concurrency=20)
    job = fleet.submit("small", "--count", "200", "--budget", "0.10")
    before = at_rest(fleet, job, "budget")
    fleet.genfleet("retry", job)
    again = fleet.until_state(job, "budget")
    assert again.accepted + again.rejected + again.waiting == 200
    assert again.accepted >= before.accepted
    fleet.genfleet("resume", job, "--budget", "5")
    complete(fleet, job)


def test_a_stopped_job_goes_on_with_all_of_it(fleet: Fleet) -> None:
    """Stopped for a key, retried without a better one and so stopped again, it goes on where a worker's key is good."""
    good, job = half_made(fleet)
    good.end()
    bad = fleet.worker(processes=1, concurrency=10, OPENROUTER_API_KEY="sk-invalid-1")
    at_rest(fleet, job, "stopped")
    fleet.genfleet("retry", job)
    assert fleet.until_state(job, "stopped").rejected == 0
    bad.end()
    fleet.worker(processes=1)
    fleet.genfleet("resume", job)
    complete(fleet, job)


def test_a_job_that_is_not_enqueued_whole_says_so(fleet: Fleet) -> None:
    """Its producer ended early: a retry makes what is enqueued and says how the rest comes, and then it does."""
    _, job = half_made(fleet, 500, GENFLEET_QUEUE_DEPTH="100")
    fleet.genfleet("pause", job)
    at_rest(fleet, job, "paused")
    assert "Not all of it was enqueued yet" in fleet.genfleet("retry", job).err
    assert "Not all of it was enqueued yet" in fleet.genfleet("resume", job).err
    fleet.submit("small", "--count", "500")
    complete(fleet, job)
