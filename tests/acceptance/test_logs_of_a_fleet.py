"""What a whole fleet logs: lines of the catalogue that a machine can read, few of them, and nothing of the texts."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from fleet_bench import Command, Fleet

from config.events import BOUND, EVENTS
from console.services import answers, free_port

#: What the provider answers; the key; the prompt.
SECRETS = ("Perché", "sk-or-test", "Numero")


def read(command: Command, *, out: bool = True) -> list[dict[str, Any]]:
    """What a command has said, every line of it an event of the catalogue with its fields."""
    said = [json.loads(line) for line in (command.err + (command.out if out else "")).splitlines()]
    for line in said:
        event = EVENTS[line["event"]]
        fields = line.keys() - {"at", "level", "event", "message"}
        assert fields <= {*event.fields, *BOUND} and {*event.fields} - {"text"} <= {*fields}, line
        assert line["level"] == {10: "debug", 20: "info", 30: "warning", 40: "error"}[event.level] or (
            line["event"] == "library"
        )
    assert not any(secret in command.err + command.out for secret in SECRETS)
    return said


def test_a_fleets_log_is_read_by_machines(fleet: Fleet) -> None:
    """Through a killed worker and a broken message, all that any process says is JSON of known events."""
    fleet.env["GENFLEET_LOG_FORMAT"] = "json"
    fleet.provide(latency_seconds=0.3, faults={"500": 0.2, "invalid": 0.1})
    port = free_port()
    worker = fleet.worker(2, 5)
    collector = fleet.start("collect", "--forever")
    services = [
        fleet.start("metrics", "--port", str(free_port())),
        fleet.start("flower", "--port", str(port)),
        fleet.start("provider", "--port", "0"),
    ]
    fleet.until_joined(2)
    submitted = fleet.start("submit", "small", "--count", "60", "--budget", "2")
    job = submitted.wait().out.strip()
    fleet.until_settled(job, 10)
    queue = next(name for name in fleet.redis.keys("generate.*") if job.encode() in name)
    fleet.redis.rpush(queue, "not a message")
    fleet.until(lambda: "message_discarded" in worker.err, "the broken message is told")
    os.kill(fleet.children(worker.pid)[0], signal.SIGKILL)
    fleet.until_state(job, "complete")
    fleet.until(lambda: answers(f"http://127.0.0.1:{port}/healthcheck"), "Flower answers")
    fleet.until(lambda: fleet.status(job).uncollected == 0, "all is collected")
    for command in (worker, collector, *services):
        command.end()
    told = {line["event"] for line in read(worker)}
    assert {"worker_started", "worker_ended", "message_discarded"} <= told
    (line,) = [line for line in read(collector) if line["event"] == "job_collected"]
    assert (line["job"], line["accepted"] + line["rejected"]) == (job, 60)
    assert [read(command)[0]["event"] for command in services] == ["serving"] * 3
    # Standard output is the job's id alone.
    assert all(line["event"] == "notice" for line in read(submitted, out=False))
    refused = fleet.start("submit", "small", "--count", "0")
    assert refused.wait().code == 2
    assert [line["event"] for line in read(refused)] == ["command_failed"]


def test_one_option_makes_one_command_and_its_children_log_so(fleet: Fleet) -> None:
    """--log-format is that of the command and of the workers that it starts, over what the environment says."""
    asked = ("--processes", "1", "--concurrency", "2", "--log-format", "json")
    worker = fleet.start("worker", *asked, GENFLEET_LOG_FORMAT="plain")
    fleet.until_joined(1)
    fleet.redis.rpush(f"generate.{fleet.submit('small', '--count', '1')}", "x")
    fleet.genfleet("limits", "anthropic/claude-haiku-4.5", "--rpm", "77")
    fleet.until(lambda: "limit_changed" in worker.err, "the worker tells of the limit")
    worker.end()
    assert {"worker_started", "limit_changed"} <= {line["event"] for line in read(worker)}
    wrong = fleet.genfleet("worker", code=2, GENFLEET_LOG_FORMAT="loud")
    assert "GENFLEET_LOG_FORMAT (loud) in the environment or .env" in wrong.err


def test_a_healthy_fleet_is_quiet(fleet: Fleet) -> None:
    """From its start to its end a worker that meets no trouble says what it takes and that it stops: nothing else."""
    worker = fleet.worker(2, 10)
    collector = fleet.start("collect", "--forever")
    fleet.until_joined(2)
    for seed in range(3):
        fleet.until_state(fleet.submit("small", "--count", "40", "--seed", str(seed)), "complete")
    fleet.until(lambda: not any(fleet.redis.xlen(name) for name in fleet.redis.keys("*:results")), "all is collected")
    said = worker.end()
    assert said.out == ""
    takes, stops = said.err.splitlines()
    assert "worker processes take" in takes
    assert "told to stop" in stops
    assert len(collector.end().err.splitlines()) == 3
