"""What a worker takes from a queue: a task's message and nothing else."""

from __future__ import annotations

import pytest
from fuzz.message import JOB, MALFORMED, QUEUE, changed, good, raw
from kombu.utils.json import loads

from workers.messages import Malformed, read_control, read_envelope, read_task


def test_a_task() -> None:
    """The message that a producer sends is taken as it is, in the model's queue and in the job's own."""
    for message, queue in ((raw(good()), QUEUE), (raw(good(unit=20_507)), f"{QUEUE}:{JOB}")):
        assert read_task(message, queue) == loads(message)


def test_a_task_that_comes_again() -> None:
    """A message that went back to its queue carries a mark, and is taken with it."""
    message = good()
    message["headers"]["redelivered"] = message["properties"]["delivery_info"]["redelivered"] = True
    assert read_task(raw(message), QUEUE) == loads(raw(message))


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_task(name: str) -> None:
    """Each kind of message that no producer sends is refused, in words of ours alone."""
    message, said = MALFORMED[name]
    with pytest.raises(Malformed, match=said) as caught:
        read_task(message, QUEUE)
    assert len(str(caught.value)) < 80


@pytest.mark.parametrize("queue", ["generate.gpt-4o", f"{QUEUE}:other-0123456789", f"{QUEUE}:", "generate."])
def test_a_task_in_a_queue_of_others(queue: str) -> None:
    """A task's message in another model's queue, or another job's, is refused."""
    with pytest.raises(Malformed, match="another queue"):
        read_task(raw(good()), queue)


def test_commands() -> None:
    """A command as Celery sends it is let through; what is no command is refused."""
    command = {"method": "ping", "arguments": {}, "destination": None, "pattern": None, "matcher": None}
    read_control(changed("body", to=command | {"ticket": "t", "reply_to": {"exchange": "e", "routing_key": "k"}}))
    for wrong in ([], 3, {"method": 1}, command | {"arguments": []}, command | {"module": "os"}, {"method": None}):
        with pytest.raises(Malformed):
            read_control(changed("body", to=wrong))


def test_answers_and_events() -> None:
    """What is no task may be longer and hold any JSON, but is a message all the same."""
    read_envelope(changed("body", to={"one@host": {"ok": "pong" * 50_000}}))
    for wrong in (
        b"{}",
        b"",
        b"\xff",
        changed("content-type", to="application/x-python-serialize"),
        b" " * (2**24 + 1),
    ):
        with pytest.raises(Malformed):
            read_envelope(wrong)
