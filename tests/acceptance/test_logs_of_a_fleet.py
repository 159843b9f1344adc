"""What a whole fleet logs: lines of the catalogue that a machine can read, few of them, and nothing of the texts."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

from fleet_bench import MODEL, Command, Fleet
from terminal import Terminal

from config.events import BOUND, EVENTS
from console.services import answers, free_port
from ledger import limits

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
    # Once each: whether housekeeping sees it in the ledger or Celery's command comes first, and where none comes.
    fleet.genfleet("limits", MODEL, "--rpm", "77")
    fleet.until(lambda: '"limit": "77"' in worker.err, "the worker tells of the limit")
    limits.change(fleet.redis, MODEL, {"requests_per_minute": 78.5})
    fleet.until(lambda: '"limit": "78.5"' in worker.err, "the worker tells of the limit that another has declared")
    worker.end()
    told = read(worker)
    assert told[0]["event"] == "worker_started"
    assert [line["limit"] for line in told if line["event"] == "limit_changed"] == ["77", "78.5"]
    wrong = fleet.genfleet("worker", code=2, GENFLEET_LOG_FORMAT="loud")
    assert "GENFLEET_LOG_FORMAT (loud) in the environment or .env" in wrong.err


def test_run_and_watch_tell_machines_how_far_a_job_is(alone: Fleet) -> None:
    """All that both say on standard error is events: of readings up to the end, of what is made, of a mistake."""
    alone.env["GENFLEET_LOG_FORMAT"] = "json"
    alone.provide(latency_seconds=0.3, faults={"malformed": 0.1})
    asked = ("small", "--count", "60", "--budget", "2", "--to", "out.jsonl", "--json")
    run = alone.start("run", *asked, "--workers", "1", "--concurrency", "10")
    done = run.wait(90)
    assert done.code == 0, run.shown()
    told = read(run, out=False)
    readings = [line for line in told if line["event"] == "job_progress"]
    last = json.loads(done.out)
    assert len(readings) >= 2
    assert all(
        readings[-1][name] == last[name] for name in ("job", "state", "accepted", "rejected", "total", "cost_usd")
    )
    assert any(f"Dataset: out.jsonl ({last['accepted']} examples)" in line["message"] for line in told)
    watch = alone.start("watch", last["job"])
    assert watch.wait().code == 0
    assert {"job_progress", "notice"} == {line["event"] for line in read(watch)}
    again = alone.start("run", *asked)
    again.wait()
    assert any("is complete already" in line["message"] for line in read(again, out=False))
    wrong = alone.start("watch", "nothing")
    assert wrong.wait().code == 2
    assert [line["event"] for line in read(wrong)] == ["command_failed"]


def test_a_terminal_shows_machines_no_display(fleet: Fleet) -> None:
    """Where JSON is asked for, it is lines of it in a terminal too, however the command ends."""
    fleet.provide(latency_seconds=0.3)
    fleet.worker(processes=1, concurrency=5)
    job = fleet.submit("small", "--count", "400")
    arguments = ["watch", job, "--log-format", "json", "--every", "0.2"]
    with Terminal(arguments, fleet.env, fleet.folder, 200, 40) as screen:
        screen.until(lambda: screen.written.count(b"job_progress") >= 3, "three readings are there")
        screen.press("\x03")
        assert screen.ended() == 130
        said = [line.removeprefix("^C") for line in screen.written.decode().splitlines()]
    assert {json.loads(line)["event"] for line in said if line} == {"job_progress", "notice"}
    fleet.provider.control(latency_seconds=0.0)
    fleet.until_state(job, "complete")


def test_a_broker_that_goes_away_is_told_to_machines(fleet: Fleet) -> None:
    """`watch` tells of its absence once, and of its return."""
    port = str(free_port())
    broker = fleet.start("broker", "--port", port)
    url = fleet.until(lambda: re.search(r"redis://\S+/0", broker.out), "the broker is up")[0]
    fleet.env["REDIS_URL"] = url
    job = fleet.submit("small", "--count", "10")
    watch = fleet.start("watch", job, "--every", "0.1", GENFLEET_LOG_FORMAT="json")
    fleet.until(lambda: "job_progress" in watch.err, "a reading is there")
    broker.end()
    fleet.until(lambda: "broker_awaited" in watch.err, "the absence is told")
    again = fleet.start("broker", "--port", port)
    fleet.until(lambda: again.out, "the broker is back")
    fleet.until(lambda: "answers again" in watch.err, "the return is told")
    assert watch.end(signal.SIGINT).code == 130
    told = read(watch)
    (away,) = [line for line in told if line["event"] == "broker_awaited"]
    assert away["level"] == "warning"


def test_the_demo_talks_to_machines(alone: Fleet) -> None:
    """What a person would read of it on either output, a machine reads on standard error, and no example."""
    demo = alone.start("demo", "--count", "20", "--log-format", "json")
    assert demo.wait(120).code == 0, demo.shown()
    assert demo.out == ""
    told = read(demo)
    assert "job_progress" in {line["event"] for line in told}
    said = " ".join(line["message"] for line in told)
    assert [word for word in ("Dataset: ", "(equal)", "Report: ", "Flower: http") if word not in said] == []


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
    expected = ("worker processes take", "told to stop")
    lines = said.err.splitlines()
    assert [text in line for text, line in zip(expected, lines, strict=False)] == [True, True], said.err
    assert len(lines) == len(expected), said.err
    collected = collector.end().err
    assert len(collected.splitlines()) == 3, collected
