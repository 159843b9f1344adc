"""How messages come into a process: several at once, on real servers."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import pytest
from kombu import Consumer, Exchange, Queue

from workers.app import app
from workers.transport import Connection
from workers.turns import AT_ONCE, turns

MODEL = "openai/gpt-4o"
JOB = "quiz-0123456789"
QUEUE = f"generate.{MODEL}:{JOB}"


def taken(url: str, client: Any, room: int, wanted: int) -> tuple[list[int], int]:
    """The numbers of the tasks that a consumer is given which may hold so many, and how many are left in the queue."""
    found: list[int] = []

    def take(body: Any, message: Any) -> None:
        found.append(body[0][1])

    with Connection(url, transport_options=app.conf.broker_transport_options) as connection:
        channel = connection.channel()
        channel.basic_qos(0, room, False)
        with Consumer(channel, [Queue(QUEUE, channel=channel, no_declare=True)], callbacks=[take], accept=["json"]):
            while len(found) < wanted:
                connection.drain_events(timeout=5)
            with suppress(socket.timeout):
                connection.drain_events(timeout=0.5)
            # Behind it kombu gives back what was not acknowledged.
            return found, client.llen(QUEUE)


def send(url: str, count: int) -> None:
    """Puts so many tasks into the queue, as a producer does."""
    task = app.tasks[f"generate.{MODEL}"]
    with app.connection_for_write(url) as connection, app.amqp.Producer(connection) as producer:
        for unit in range(count):
            queue = Queue(QUEUE, Exchange(""))
            task.apply_async((JOB, unit), task_id=f"{JOB}-{unit}", producer=producer, queue=queue, declare=[])


def calls(client: Any, command: str) -> int:
    """How often the server was asked that."""
    found = client.info("commandstats").get(f"cmdstat_{command}")
    return 0 if found is None else int(found["calls"])


def test_several_are_taken_at_once(redis_url: str, redis_client: Any) -> None:
    """As many as there is room for, in their order, with a question for ten; what has no room stays in the queue."""
    send(redis_url, 45)
    redis_client.config_resetstat()
    assert taken(redis_url, redis_client, 35, 35) == (list(range(35)), 10)
    assert calls(redis_client, "blmpop") <= 35 // AT_ONCE + 2


def test_a_few_are_not_asked_for(redis_url: str, redis_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tasks are taken ahead, a question waits until there is room for as many."""
    monkeypatch.setattr(turns, "ahead", AT_ONCE)
    send(redis_url, 45)
    assert taken(redis_url, redis_client, 2 * AT_ONCE - 1, AT_ONCE) == (list(range(AT_ONCE)), 45 - AT_ONCE)


def test_one_that_is_no_message_costs_no_other(redis_url: str, redis_client: Any) -> None:
    """It is discarded, and those that came with it are delivered."""
    send(redis_url, 3)
    redis_client.lpush(QUEUE, b"{")
    redis_client.rpush(QUEUE, b"\xff")
    assert taken(redis_url, redis_client, 20, 3) == ([0, 1, 2], 0)


def test_a_user_who_may_take_one_at_a_time_takes_them_so(redis_url: str, redis_client: Any) -> None:
    """A server before Redis 7, or rights of before, serve as they did."""
    send(redis_url, 25)
    redis_client.execute_command("ACL", "SETUSER", "old", "on", ">secret", "~*", "&*", "+@all", "-blmpop")
    try:
        url = redis_url.replace("redis://", "redis://old:secret@")
        assert taken(url, redis_client, 30, 25) == (list(range(25)), 0)
    finally:
        redis_client.execute_command("ACL", "DELUSER", "old")
