"""The ledger's format, and what workers tell of the jobs that they take."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from ledger import fleet, keys, taking
from ledger.connection import clock, connect
from ledger.damaged import Damaged
from ledger.format import FORMAT, OtherFormat, agree
from ledger.server_clock import ServerClock


def test_the_first_sets_the_format(redis_url: str, redis_client: Any) -> None:
    """An empty ledger becomes one of this version; who comes later finds it so."""
    connect(redis_url).close()
    assert redis_client.get(keys.FORMAT) == str(FORMAT).encode()
    connect(redis_url).close()


def test_another_format_is_named(redis_url: str, redis_client: Any) -> None:
    """One sentence has both numbers and the address."""
    redis_client.set(keys.FORMAT, FORMAT + 1)
    with pytest.raises(OtherFormat) as caught:
        connect(redis_url)
    assert all(word in str(caught.value) for word in (f"format {FORMAT}", f"format {FORMAT + 1}", redis_url))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", ["text", "hash"])
def test_a_damaged_format(redis_client: Any, what: str) -> None:
    """Something else than a number is said to be damaged."""
    if what == "text":
        redis_client.set(keys.FORMAT, "two")
    else:
        redis_client.hset(keys.FORMAT, "number", 2)
    with pytest.raises(Damaged, match="format"):
        agree(redis_client, "here")


def test_who_may_not_look_is_let_through() -> None:
    """A user without the right to that key works as its broker's owner has decided."""

    class Refusing:
        def get(self, _: str) -> None:
            raise NoPermissionError

    agree(Refusing(), "here")


def joined(redis: Any, worker: str, takes: set[str], refuses: dict[str, str]) -> None:
    """A worker whose heart has beaten once, and what it says."""
    fleet.beat(redis, worker, [])
    taking.tell(redis, worker, takes, refuses)


def test_a_job_that_nobody_takes_has_a_note(redis_client: Any) -> None:
    """One that somebody refuses and nobody takes; not one that nobody spoke of, and not one that is taken."""
    joined(redis_client, "w1", {"a"}, {"b": "another version.", "c": "another version."})
    joined(redis_client, "w2", {"b"}, {"c": "not found."})
    notes = taking.notes(redis_client, ["a", "b", "c", "d"])
    assert notes.keys() == {"c"}
    assert "another version." in notes["c"]


def test_who_is_gone_takes_nothing(redis_client: Any) -> None:
    """What a worker has said ends with it."""
    joined(redis_client, "w1", {"a"}, {})
    joined(redis_client, "w2", set(), {"a": "another version."})
    fleet.reap(redis_client, "w1", now=True)
    assert taking.notes(redis_client, ["a"]).keys() == {"a"}
    fleet.reap(redis_client, "w2", now=True)
    assert taking.notes(redis_client, ["a"]) == {}


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"takes": 3, "refuses": {}}', '{"takes": [], "refuses": []}'])
def test_a_worker_that_says_nonsense_says_nothing(redis_client: Any, text: str) -> None:
    """It neither takes nor refuses, and breaks no reading."""
    joined(redis_client, "w1", set(), {"a": "another version."})
    fleet.beat(redis_client, "w2", [])
    redis_client.set(keys.worker("w2", "taking"), text)
    assert taking.notes(redis_client, ["a"]).keys() == {"a"}


def test_the_servers_clock_goes_on_by_itself(redis_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once asked, it needs neither the server nor this machine's wall clock."""
    there = ServerClock()
    there.ask(redis_client)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    apart = abs(there.now() - datetime.fromtimestamp(clock(redis_client), UTC))
    assert apart < timedelta(seconds=5)


def test_a_slow_answer_sets_no_clock(redis_client: Any) -> None:
    """Of an answer that took long nobody knows when it was given: the one before it holds."""

    class Slow:
        def time(self) -> tuple[int, int]:
            time.sleep(1.1)
            return 1, 0

    there = ServerClock()
    there.ask(redis_client)
    there.ask(Slow())
    assert there.now().year > 2000
