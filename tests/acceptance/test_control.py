"""What people do to jobs and limits while the fleet runs, and what the fleet does without a valid key."""

from __future__ import annotations

import re

from fleet_bench import MODEL, OPENAI_MODEL, QUEUE, Fleet

from config.money import to_nano_usd
from workers.app import job_queue


def test_a_budget_is_kept_and_a_higher_one_goes_on(fleet: Fleet) -> None:
    """A job stops at its budget with the bill below it, says so, and completes once it is given more."""
    fleet.provide(latency_seconds=0.1, mean_completion_tokens=200, completion_sigma=0.1)
    fleet.worker(processes=2, concurrency=20)
    job = fleet.submit("small", "--count", "300", "--budget", "0.10")
    stopped = fleet.until_state(job, "budget")
    assert 0 < fleet.billed() == stopped.cost_nano_usd <= to_nano_usd("0.10")
    assert stopped.running == 0
    assert stopped.reserved_usd == 0
    assert fleet.genfleet("watch", job, code=1).err.count("Stopped by the budget of $0.1") == 1

    said = fleet.genfleet("resume", job, "--budget", "5").err
    assert f"{job}: running" in said
    status = fleet.until_state(job, "complete")
    assert status.accepted == fleet.billed("billed_calls") == 300
    assert status.cost_nano_usd == fleet.billed()


def test_a_job_is_paused_resumed_cancelled_and_retried(fleet: Fleet) -> None:
    """Nothing is called in a pause, a resumed job completes, and a rejected example is bought again when asked for."""
    fleet.provide(latency_seconds=0.3, faults={"malformed": 0.2, "refused": 0.1})
    fleet.worker(processes=2, concurrency=10)
    job = fleet.submit("small", "--count", "200")
    fleet.until_settled(job, 40)
    fleet.provider.control(latency_seconds=2.0)
    assert fleet.genfleet("pause", job).err.startswith(f"{job}: paused, ")
    fleet.until(lambda: not fleet.status(job).running, "calls in flight have ended")
    paused = fleet.status(job)
    assert paused.settled == paused.attempts == fleet.billed("calls") < 200
    # Another job of the same model is none of the pause's business.
    other = fleet.submit("small", "--count", "400", "--seed", "1")
    fleet.until_settled(other, 10)
    fleet.genfleet("cancel", other)
    fleet.until(lambda: not fleet.status(other).running, "calls in flight have ended")
    assert fleet.status(other).state == "cancelled"
    assert fleet.status(job) == paused
    fleet.provider.control(latency_seconds=0.3)

    fleet.genfleet("resume", job)
    status = fleet.until_state(job, "complete")
    invalid, refused = status.reasons["rejected:invalid"], status.reasons["rejected:refused"]
    assert (status.settled, status.rejected) == (200, invalid + refused)
    fleet.provider.control(faults={})
    assert f"{invalid} tasks rejected for invalid" in fleet.genfleet("retry", job, "--reason", "invalid").err
    status = fleet.until_state(job, "complete")
    assert status.reasons["rejected:refused"] == status.rejected == refused
    assert "rejected:invalid" not in status.reasons
    assert status.accepted == 200 - refused
    assert fleet.status(other).settled < 400

    fleet.genfleet("collect", job)
    assert len({example["id"] for example in fleet.parts(job, "accepted")}) == 200 - refused


def test_a_job_that_rests_leaves_no_message_in_the_broker(fleet: Fleet) -> None:
    """Paused without any worker its queue is gone, and resumed each of its tasks is in it again, once."""
    job = fleet.submit("small", "--count", "20")
    queue = job_queue(MODEL, job)
    assert fleet.redis.llen(queue) == 20
    fleet.genfleet("pause", job)
    assert not fleet.redis.exists(queue)
    assert "running, 20 tasks enqueued" in fleet.genfleet("resume", job).err
    assert fleet.redis.llen(queue) == 20
    fleet.genfleet("cancel", job)
    assert not fleet.redis.exists(queue)


def test_celery_and_genfleet_set_one_and_the_same_limit(fleet: Fleet) -> None:
    """`celery control rate_limit` and `genfleet limits` change the fleet's limit, and both show what is in force."""
    workers = [fleet.plain_worker(name) for name in ("one", "two")]
    fleet.until_joined(2)
    done = fleet.celery("control", "rate_limit", QUEUE, "120/m").wait()
    assert done.out.count("new rate limit set successfully") == 2
    assert _in_force(fleet) == ["120", "1,000,000,000", "1,000"]
    assert _registered(fleet) == ["120/m", "120/m"]

    fleet.genfleet("limits", MODEL, "--rpm", "300", "--tpm", "50000", "--concurrent", "7")
    assert _in_force(fleet) == ["300", "50,000", "7"]
    assert _registered(fleet) == ["300/m", "300/m"]

    # A worker that joins later changes nothing of it, and one that ends neither.
    assert workers[0].end().code == 0
    fleet.plain_worker("three")
    fleet.until_joined(2)
    assert _registered(fleet) == ["300/m", "300/m"]
    assert _in_force(fleet) == ["300", "50,000", "7"]

    job = fleet.submit("small", "--count", "40")
    fleet.genfleet("limits", MODEL, "--rpm", "0", "--tpm", "0")
    fleet.until_state(job, "complete")
    assert max(call.in_flight for call in fleet.provider.audit()) <= 7


def test_a_worker_without_a_key_leaves_that_models_tasks_alone(fleet: Fleet) -> None:
    """It says which model it does not take and which variable it lacks; another worker makes what it left."""
    fleet.recipe(name="other", model=OPENAI_MODEL)
    left = fleet.submit("other", "--count", "5")
    made = fleet.submit("small", "--count", "5")
    without = fleet.celery("worker", "-P", "threads", "-c", "5", "-n", "one@test", OPENAI_API_KEY="")
    fleet.until_state(made, "complete")
    assert re.search(r"gpt-4o: not taken; it needs OPENAI_API_KEY", without.err)
    assert fleet.redis.llen(job_queue(OPENAI_MODEL, left)) == fleet.status(left).waiting == 5
    supervised = fleet.start("worker", "--processes", "1", "--model", OPENAI_MODEL, OPENAI_API_KEY="")
    assert supervised.wait().code == 2
    assert "OPENAI_API_KEY" in supervised.err

    fleet.start("worker", "--processes", "1", "--model", OPENAI_MODEL)
    assert fleet.until_state(left, "complete").accepted == 5


def test_a_refused_key_stops_the_job_and_loses_nothing(fleet: Fleet) -> None:
    """A 401 stops the job with a note that says what to do; with a valid key it completes, each example paid once."""
    worker = fleet.worker(processes=1, OPENROUTER_API_KEY="sk-invalid-1")
    job = fleet.submit("small", "--count", "30")
    stopped = fleet.until_state(job, "stopped")
    assert "refuses the API key (401)" in (stopped.note or "")
    assert "resume the job" in fleet.genfleet("watch", job, code=1).err
    assert worker.end().code == 0
    assert worker.err.count(f"job {job} is stopped: {stopped.note}") == 1
    assert (stopped.settled, fleet.billed()) == (0, 0)

    fleet.worker(processes=1)
    fleet.genfleet("resume", job)
    assert fleet.until_state(job, "complete").accepted == 30
    assert fleet.billed("billed_calls") == 30


def test_check_says_whether_this_machine_is_ready(fleet: Fleet) -> None:
    """Exit code 0 with keys and a broker that keeps its data; 1 where there is none, or a recipe is broken."""
    broker = fleet.start("broker", "--port", "0")
    url = fleet.until(lambda: re.search(r"redis://\S+/0", broker.out), "the broker is up")[0]
    ready = fleet.genfleet("check", REDIS_URL=url)
    assert "FAIL" not in ready.out
    assert re.search("-- .*OPENAI_API_KEY", fleet.genfleet("check", OPENAI_API_KEY="", REDIS_URL=url).out)
    fleet.recipe(name="broken", more="nonsense = 1\n")
    unready = fleet.genfleet("check", OPENAI_API_KEY="", OPENROUTER_API_KEY="", code=1).out
    assert [
        word for word in ("no key is set", "nonsense", "appendonly") if not re.search(f"FAIL .*{word}", unready)
    ] == []


def _in_force(fleet: Fleet) -> list[str]:
    """The model's limits as `genfleet limits` shows them."""
    row = next(line for line in fleet.genfleet("limits", MODEL).out.splitlines() if line.startswith(MODEL))
    return row.split()[1:4]


def _registered(fleet: Fleet) -> list[str]:
    """The limit that each worker shows for the model's task."""
    done = fleet.celery("inspect", "registered", "rate_limit").wait()
    return re.findall(rf"{re.escape(QUEUE)} \[rate_limit=([^\]]*)\]", done.out)
