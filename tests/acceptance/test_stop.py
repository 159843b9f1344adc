"""Stopping: in order, at once, and by the death of whoever started the rest."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import suppress

import redis
from fleet_bench import MODEL, Fleet

from console.services import free_port
from ledger import fleet as members
from ledger import keys
from workers.app import job_queue

COUNT = 200


def test_a_worker_told_to_stop_finishes_its_calls_and_gives_the_rest_back(fleet: Fleet) -> None:
    """After SIGTERM no answer is lost, what waited is in the queue again, the exit code is 0, and nobody is held."""
    # Calls may take 20 slots only, so that of the 40 tasks taken up half wait.
    fleet.declare({MODEL: {"concurrent_requests": 20}})
    fleet.provide(latency_seconds=1.0)
    worker = fleet.worker(processes=2, concurrency=20)
    job = fleet.submit("small", "--count", str(COUNT))
    fleet.until_settled(job, 20)
    assert worker.end().code == 0
    status = fleet.status(job)
    assert status.running == 0
    assert status.settled == status.attempts == fleet.billed("calls") < COUNT
    assert fleet.billed("left_calls") == 0
    queued = [json.loads(message)["headers"]["id"] for message in fleet.redis.lrange(job_queue(MODEL, job), 0, -1)]
    todo = {f"{job}-{int(unit)}" for unit in fleet.redis.hkeys(keys.job(job, "todo"))}
    assert set(queued) == todo
    assert members.alive(fleet.redis) == {}

    fleet.genfleet("limits", MODEL, "--concurrent", "100")
    fleet.provider.control(latency_seconds=0.1)
    fleet.worker(processes=1)
    assert fleet.until_state(job, "complete").accepted == fleet.billed("calls") == COUNT


def test_a_broker_that_does_not_answer_for_a_while_lives_on(fleet: Fleet) -> None:
    """A busy machine may keep the embedded one from answering; it is ended neither then nor at all, unless it dies."""
    port = free_port()
    broker = fleet.start("broker", "--port", str(port), "--folder", str(fleet.folder / "own"))
    with redis.Redis(port=port, socket_timeout=5) as client:

        def answers() -> bool:
            with suppress(redis.RedisError):
                return bool(client.ping())
            return False

        fleet.until(answers, "it answers")
        server = int(client.info("server")["process_id"])
        os.kill(server, signal.SIGSTOP)
        # Long enough for it to be looked at, with a second's patience, more than once.
        time.sleep(4)
        os.kill(server, signal.SIGCONT)
        fleet.until(answers, "it answers again")
        assert broker.runs
        assert int(client.info("server")["process_id"]) == server
    os.kill(server, signal.SIGKILL)
    broker.wait()


def test_a_second_signal_stops_at_once_and_the_next_worker_completes_the_job(fleet: Fleet) -> None:
    """SIGTERM twice does not wait for calls that take minutes; their money is noted, their examples are made again."""
    fleet.provide(latency_seconds=0.3)
    worker = fleet.worker(processes=2, concurrency=10)
    fleet.until_joined(2)
    job = fleet.submit("small", "--count", str(COUNT))
    fleet.until_settled(job, 30)
    fleet.hold_calls(job, 20, 50.0)
    worker.send(signal.SIGTERM)
    fleet.until(lambda: "told to stop" in worker.err, "its processes have been told to stop")
    assert worker.end(seconds=30).code == 1
    fleet.until(lambda: fleet.billed("left_calls"), "the provider has seen its callers leave")
    fleet.provider.control(latency_seconds=0.1)

    fleet.worker(processes=1)
    status = fleet.until_state(job, "complete")
    assert status.accepted == COUNT
    assert status.cost_nano_usd == fleet.billed() - fleet.billed("left_cost_nano_usd")
    assert status.reasons == {"again:worker_lost": fleet.billed("left_calls")}


def test_answers_that_the_broker_cannot_take_outlive_their_worker(fleet: Fleet) -> None:
    """A worker told to stop while the broker is away ends, and the next one settles what it was paid for."""
    broker = fleet.start("broker", "--port", str(free_port()))
    url = fleet.until(lambda: re.search(r"redis://\S+/0", broker.out), "the broker is up")[0]
    fleet.env |= {"REDIS_URL": url, "GENFLEET_GRACE_SECONDS": "4"}
    fleet.provide(latency_seconds=0.1)
    worker = fleet.plain_worker("one", 10)
    with redis.Redis.from_url(url) as fleet.redis:
        job = fleet.submit("small", "--count", "200")
        fleet.until_settled(job, 20)
        fleet.hold_calls(job, 10, 8.0)
    calls = fleet.billed("calls")
    broker.end()
    fleet.until(lambda: fleet.billed("calls") == calls + 10, "the calls have ended")
    worker.end()
    fleet.provider.control(latency_seconds=0.1)

    broker = fleet.start("broker", "--port", url.rpartition(":")[2].removesuffix("/0"))
    fleet.until(lambda: broker.out, "the broker is back")
    fleet.plain_worker("two", 10)
    with redis.Redis.from_url(url) as fleet.redis:
        status = fleet.until_state(job, "complete")
    assert status.accepted == fleet.billed("billed_calls") == 200
    assert status.cost_nano_usd == fleet.billed()
    assert status.duplicates == 0


def test_children_end_with_a_parent_that_was_killed(alone: Fleet) -> None:
    """After a SIGKILL of `genfleet run` its workers and broker end; the same command again completes the job."""
    alone.provide(latency_seconds=0.4)
    command = ("run", "small", "--count", "200", "--to", "small.csv", "--json", "--workers", "2", "--concurrency", "10")
    run = alone.start(*command)
    alone.until(lambda: alone.billed("calls") >= 40, "40 calls have ended")
    run.send(signal.SIGKILL)
    run.wait()
    alone.until(lambda: not alone.left(), "broker and workers have ended", 60)

    again = json.loads(alone.genfleet(*command).out)
    assert (again["state"], again["accepted"]) == ("complete", 200)
    assert alone.billed("billed_calls") - 200 <= 20
    assert len((alone.folder / "small.csv").read_text("utf-8").splitlines()) == 201
