"""A worker meets what anybody can put into the broker: it takes none of it, says so, and goes on with its work."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from fleet_bench import MODEL, QUEUE, Command, Fleet
from fuzz.message import MALFORMED, changed, good, raw

from ledger import keys

NAME = "small-0123456789"


def discarded(worker: Command) -> list[str]:
    """What the worker has said of messages that it takes none of."""
    return re.findall(r"a message in .* is discarded: .*", worker.err)


def test_malformed_messages_are_discarded_and_the_job_is_made(fleet: Fleet) -> None:
    """Each costs one line in the log; the worker's process lives, and every example of a job is made."""
    fleet.provide(latency_seconds=0.1)
    worker = fleet.worker(processes=1, concurrency=10)
    fleet.until_joined(1)
    pids = fleet.children(worker.pid)
    fleet.redis.lpush(QUEUE, *(message for message, _ in MALFORMED.values()))
    fleet.until(lambda: len(discarded(worker)) >= len(MALFORMED), "every malformed message was discarded")
    job = fleet.submit("small", "--count", "50")
    fleet.redis.lpush(f"{QUEUE}:{job}", *(message for message, _ in MALFORMED.values()))
    status = fleet.until_state(job, "complete")
    assert (status.accepted, status.rejected) == (50, 0)
    fleet.until(lambda: not fleet.redis.llen(QUEUE), "nothing is left in the queue")
    assert fleet.children(worker.pid) == pids
    assert "Traceback" not in worker.err
    assert len(discarded(worker)) <= 2 * len(MALFORMED)
    # Celery's own second record of what was delivered, which would be another thing to put messages into.
    assert not fleet.redis.exists("unacked", "unacked_index", "unacked_mutex")


def test_malformed_commands_and_events_are_discarded(fleet: Fleet) -> None:
    """What comes by subscription ends no worker either, and commands that are some are still understood."""
    worker = fleet.worker(processes=1, concurrency=2)
    fleet.until_joined(1)
    pids = fleet.children(worker.pid)
    wrong = [b"x", b"{}", b"[" * 5_000, changed("body", to=[]), changed("body", to={"method": "ping", "module": "os"})]
    wrong += [changed("body", to={"method": "ping", "arguments": [1]}), changed("headers", "compression", to="zlib")]
    for message in wrong:
        assert fleet.redis.publish("/0.celery.pidbox", message) == 1
    fleet.until(lambda: len(discarded(worker)) == len(wrong), "every malformed command was discarded")
    unknown = {"method": "pool_restart", "arguments": {"modules": ["antigravity"], "reload": True}}
    fleet.redis.publish("/0.celery.pidbox", changed("body", to=unknown))
    assert "pong" in fleet.celery("inspect", "ping").wait().out
    assert fleet.children(worker.pid) == pids


def spec(**changes: Any) -> str:
    """What a job is, as it stands in the ledger."""
    output = {"type": "object", "properties": {"question": {"type": "string"}, "answer": {"type": "string"}}}
    recipe = {"name": "small", "model": MODEL, "prompt": "{{ numero }}", "output": output, "axes": {"numero": ["1"]}}
    whole = {"recipes": [recipe | changes.pop("recipe", {})], "model": MODEL, "total": 3, "seed": 0}
    return json.dumps(whole | changes)


def plant(fleet: Fleet, text: bytes | str, todo: dict[str, str] | None = None, name: str = NAME) -> None:
    """Writes a job into the ledger as somebody who has no producer does, and its tasks into its queue."""
    fields = {"model": MODEL, "recipe": "small", "total": 3, "units": 3, "cursor": 3, "state": "running"}
    fields |= {"price_in": 1250, "price_out": 5000, "plain_in": 1000, "plain_out": 5000}
    facts = {"recipe": 0, "count": 1, "variables": {"numero": "1"}}
    good_todo = {str(unit): f"300 400 small {json.dumps(facts | {'first': unit})}" for unit in range(3)}
    fleet.redis.hset(keys.job(name), mapping=fields)
    fleet.redis.set(keys.job(name, "spec"), text)
    fleet.redis.hset(keys.job(name, "todo"), mapping=good_todo | (todo or {}))
    fleet.redis.lpush(f"{QUEUE}:{name}", *(raw(good(name, unit)) for unit in range(3)))
    fleet.redis.zadd(keys.JOBS, {name: time.time()})


def trap(folder: Path) -> Path:
    """A module where Python finds it, and the file that it leaves behind when it is run."""
    ran = folder / "ran"
    (folder / "trap.py").write_text(
        f"from pathlib import Path\nfrom pydantic import BaseModel\nPath({str(ran)!r}).touch()\n"
        "class Card(BaseModel):\n    question: str\n"
    )
    return ran


def test_jobs_that_no_producer_has_made_are_stopped(fleet: Fleet) -> None:
    """A job that is none, or names code of its own, runs none, is stopped with a note, and harms no other job."""
    fleet.provide(latency_seconds=0.1)
    elsewhere = fleet.folder / "elsewhere"
    elsewhere.mkdir()
    ran = trap(elsewhere)
    # Where Python finds it, and yet it is no output.
    worker = fleet.worker(processes=1, concurrency=10, PYTHONPATH=str(elsewhere))
    fleet.until_joined(1)
    remote = {"type": "object", "properties": {"a": {"$ref": f"{fleet.provider.base_url}/schema"}}}
    hostile = {
        "no JSON": b"\xff\xfe",
        "no job": b"[]",
        "another field": spec(module="trap"),
        "another model": spec(model="gpt-4o"),
        "a field of a recipe": spec(recipe={"import": "trap"}),
        "its own module": spec(recipe={"output": "trap:Card"}),
        "Python's module": spec(recipe={"output": "subprocess:Popen"}),
        "a schema from elsewhere": spec(recipe={"output": remote}),
    }
    for number, text in enumerate(hostile.values()):
        plant(fleet, text, name=f"small-000000000{number}")
    job = fleet.submit("small", "--count", "30")
    assert fleet.until_state(job, "complete").accepted == 30
    for number, name in enumerate(hostile):
        status = fleet.until_state(f"small-000000000{number}", "stopped")
        assert status.note, name
        assert status.attempts == 0, name
        assert worker.err.count(f"job small-000000000{number} is stopped") == 1, name
    assert not ran.exists()
    assert fleet.billed("calls") == 30
    assert "Traceback" not in worker.err


def test_templates_of_a_job_reach_nothing(fleet: Fleet) -> None:
    """A prompt that reaches for Python's insides is not rendered; the job is stopped and nothing was sent."""
    worker = fleet.worker(processes=1, concurrency=2)
    fleet.until_joined(1)
    plant(fleet, spec(recipe={"prompt": "{{ ''.__class__.__mro__[1].__subclasses__() }} {{ numero }}"}))
    status = fleet.until_state(NAME, "stopped")
    assert "unsafe" in str(status.note)
    assert fleet.billed("calls") == 0
    assert "Traceback" not in worker.err


def test_tasks_that_no_producer_has_listed_are_given_up(fleet: Fleet) -> None:
    """A task that cannot be read is rejected, kept as it stood and costs nothing; the others of its job are made."""
    fleet.provide(latency_seconds=0.1)
    worker = fleet.worker(processes=1, concurrency=4)
    fleet.until_joined(1)
    todo = {"1": "not a task", "2": '300 400 small {"recipe": 7, "first": 2, "count": 1, "variables": {}}'}
    plant(fleet, spec(), todo)
    status = fleet.until_state(NAME, "complete")
    assert (status.accepted, status.rejected, fleet.billed("calls")) == (1, 2, 1)
    assert status.reasons == {"rejected:poison": 1, "rejected:unreadable": 1}
    fleet.genfleet("collect", NAME)
    kept = {example["index"]: example for example in fleet.parts(NAME, "rejected")}
    assert {unit: example["raw"] for unit, example in kept.items()} == {int(unit): text for unit, text in todo.items()}
    assert {example["cost_nano_usd"] for example in kept.values()} == {0}
    # One of them can be read by itself, and is none of its job all the same.
    assert "1 tasks rejected" in fleet.genfleet("retry", NAME).err
    assert fleet.until_state(NAME, "complete").rejected == 2
    assert "Traceback" not in worker.err


def test_names_of_jobs_lead_nowhere(fleet: Fleet) -> None:
    """A job whose name is a path is none: nothing is collected to another folder, and the others are."""
    fleet.provide(latency_seconds=0.1)
    job = fleet.submit("small", "--count", "5")
    for name in ("../../outside", "/tmp/outside", "a/b", ".."):
        fleet.redis.zadd(keys.JOBS, {name: time.time()})
        fleet.redis.hset(keys.job(name), mapping={"state": "running", "model": MODEL, "recipe": "small", "total": 1})
        fleet.redis.xadd(keys.job(name, "results"), {"attempt": "{}", "examples": "[]"})
    fleet.worker(processes=1, concurrency=4)
    fleet.until_state(job, "complete")
    fleet.genfleet("collect")
    assert len(fleet.parts(job, "accepted")) == 5
    assert [path.name for path in (fleet.data / "jobs").iterdir()] == [job]
    assert not (fleet.folder.parent / "outside").exists()
    assert fleet.genfleet("status").out.count("small") == 1
