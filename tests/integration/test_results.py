"""The results stream and its collector, on real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from ledger.collector import Collector
from ledger.parts import KINDS, Parts, PartsError
from ledger.results import CollectedElsewhere, Results

STREAM = "genfleet:job:j:results"


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture
def server(each_redis_client: redis.Redis) -> redis.Redis:
    return each_redis_client


@pytest.fixture
def collector(server: redis.Redis, tmp_path: Path) -> Iterator[Collector]:
    made = Collector(server, "j", tmp_path / "job")
    yield made
    made.close()


def settle(server: redis.Redis, numbers: range, stream_id: str = "*") -> list[str]:
    """Append results as the ledger does: every fifth is rejected, every seventh has no example."""
    ids = []
    for n in numbers:
        outcome = "rejected" if n % 5 == 0 else "accepted"
        examples = [] if n % 7 == 0 else [{"id": f"j-{n:06}", "index": n, "outcome": outcome}]
        fields = {"attempt": json.dumps({"unit": n}), "examples": json.dumps(examples)}
        ids.append(server.xadd(STREAM, fields, id=stream_id).decode())
    return ids


def expected(numbers: range) -> dict[str, list[int]]:
    with_example = [n for n in numbers if n % 7]
    return {
        "accepted": [n for n in with_example if n % 5],
        "rejected": [n for n in with_example if n % 5 == 0],
        "attempts": list(numbers),
    }


def collected(directory: Path) -> dict[str, list[Any]]:
    parts = Parts(directory)
    return {kind: [row.get("index", row.get("unit")) for row in parts.iterate(kind)] for kind in KINDS}


def test_read(server: redis.Redis) -> None:
    """Entries come in their order, after an id, as many as asked for; of an empty stream there are none."""
    results = Results(server, "j")
    assert results.read("0", 10) == []
    ids = settle(server, range(1, 6))
    assert [key for key, _, _ in results.read("0", 3)] == ids[:3]
    assert results.read(ids[2], 10)[0] == (ids[3], b'{"unit": 4}', results.read(ids[2], 1)[0][2])
    assert results.read(ids[4], 10) == []
    assert server.xlen(STREAM) == 5


@pytest.mark.parametrize(
    ("ids", "upto", "left"),
    [
        (["5-9", "5-10", "6-0"], "5-9", ["5-10", "6-0"]),
        (["5-9", "5-10", "6-0"], "5-10", ["6-0"]),
        (["5-18446744073709551615", "6-0"], "5-18446744073709551615", ["6-0"]),
        (["5-9", "6-0"], "5-1", ["5-9", "6-0"]),
        (["5-9", "6-0"], "7-0", []),
    ],
)
def test_trim(server: redis.Redis, ids: list[str], upto: str, left: list[str]) -> None:
    """Trimming removes exactly what is not after the id, at the edges of the id's numbers too."""
    for stream_id in ids:
        settle(server, range(1, 2), stream_id)
    results = Results(server, "j")
    results.claim("me", "host:/a")
    results.trim(upto)
    assert [key for key, _, _ in results.read("0", 10)] == left


def test_trimming_many(server: redis.Redis) -> None:
    """Trimming is exact within a big node of the stream, where an approximate one keeps what is too little."""
    ids = settle(server, range(1, 351))
    results = Results(server, "j")
    results.claim("me", "host:/a")
    results.trim(ids[332])
    assert server.xlen(STREAM) == 17


def test_one_collector(server: redis.Redis) -> None:
    """A live claim keeps everyone else out, in whatever place; its owner renews it and gives it back."""
    mine, other = Results(server, "j"), Results(server, "j")
    mine.claim("me", "host:/a")
    mine.claim("me", "host:/a", ttl_ms=5_000)
    assert 0 < server.pttl("genfleet:job:j:collector") <= 5_000
    for place in ("host:/a", "host:/b"):
        with pytest.raises(CollectedElsewhere, match=r"^Job j is being collected to host:/a by another process"):
            other.claim("other", place)
    other.release("other")
    with pytest.raises(CollectedElsewhere):
        other.claim("other", "host:/b")
    mine.release("me")
    other.claim("other", "host:/b")
    Results(server, "another job").claim("me", "host:/a")


def test_a_job_goes_to_one_place(server: redis.Redis) -> None:
    """Once results were taken, the rest goes there too: the same folder, or one of the same name on that host."""
    (taken, _) = settle(server, range(1, 3))
    mine, other = Results(server, "j"), Results(server, "j")
    mine.claim("me", "host:/a")
    mine.trim(taken)
    mine.release("me")
    with pytest.raises(CollectedElsewhere, match=r"^Job j was collected in part to host:/a; collect the rest"):
        other.claim("other", "elsewhere:/a")
    other.claim("other", "host:/a")
    other.release("other")
    mine.claim("me", "renamed:/a")


def test_a_claim_that_took_nothing_binds_nobody(server: redis.Redis) -> None:
    """Who has claimed and taken nothing leaves the choice of the place to the next."""
    Results(server, "j").claim("me", "host:/a", ttl_ms=1)
    other = Results(server, "j")
    while server.exists("genfleet:job:j:collector"):
        pass
    other.claim("other", "host:/b")


def test_trimming_after_the_claim_is_lost(server: redis.Redis) -> None:
    """A collector that slept through its claim removes nothing when another has begun."""
    (first,) = settle(server, range(1, 2))
    slow, quick = Results(server, "j"), Results(server, "j")
    with pytest.raises(RuntimeError, match="claim"):
        slow.trim(first)
    slow.claim("slow", "host:/a")
    slow.release("slow")
    quick.claim("quick", "host:/b")
    with pytest.raises(CollectedElsewhere):
        slow.trim(first)
    assert server.xlen(STREAM) == 1
    quick.trim(first)


def test_collecting(server: redis.Redis, collector: Collector, tmp_path: Path) -> None:
    """A step takes what is there, a drain the rest; the stream is empty after it and the parts are few."""
    settle(server, range(1, 101))
    assert collector.step() == 100
    settle(server, range(101, 121))
    assert collector.drain() == 20
    assert server.xlen(STREAM) == 0
    assert collected(tmp_path / "job") == expected(range(1, 121))
    assert {len(list((tmp_path / "job" / kind).iterdir())) for kind in KINDS} == {1}


@pytest.mark.parametrize("method", ["write", "trim", "compact"])
@pytest.mark.parametrize("before", [True, False])
def test_killed_between_steps(
    server: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, before: bool
) -> None:
    """Killed before or after writing, trimming or merging, the next collector starts at once and has each row once."""
    settle(server, range(1, 50))

    def killing(original: Callable[..., Any]) -> Callable[..., Any]:
        def kill(*args: Any, **named: Any) -> None:
            if not before:
                original(*args, **named)
            raise Killed

        return kill

    first = Collector(server, "j", tmp_path)
    owner = Results if method == "trim" else Parts
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, method, killing(getattr(owner, method)))
        first.step()
    first.parts.close()  # as the kernel does; the claim in Redis stays

    settle(server, range(50, 61))
    second = Collector(server, "j", tmp_path)
    second.drain()
    second.close()
    assert collected(tmp_path) == expected(range(1, 61))


def test_collecting_in_a_thread(server: redis.Redis, collector: Collector, tmp_path: Path) -> None:
    """Between start and stop results are taken as they come; stop takes the last of them."""
    settle(server, range(1, 11))
    collector.start()
    while server.xlen(STREAM):
        pass
    settle(server, range(11, 31))
    collector.stop()
    assert server.xlen(STREAM) == 0
    assert collected(tmp_path / "job") == expected(range(1, 31))


def test_the_thread_outlives_the_brokers_absence(each_server: Any, server: redis.Redis, tmp_path: Path) -> None:
    """While the broker does not answer the collector waits, and goes on when it does."""
    impatient = redis.Redis.from_url(each_server.url, socket_timeout=0.05, retry=None)
    seen: list[str] = []
    collector = Collector(impatient, "j", tmp_path)
    step = collector.step

    def noting() -> int:
        try:
            return step()
        except redis.TimeoutError:
            seen.append("away")
            server.client_unpause()
            raise

    collector.step = noting  # type: ignore[method-assign]
    collector.start()
    settle(server, range(1, 6))
    server.client_pause(60_000, all=False)
    while not seen:
        pass
    collector.stop()
    impatient.close()
    assert collected(tmp_path) == expected(range(1, 6))


def test_a_thread_that_fails_says_so(server: redis.Redis, collector: Collector) -> None:
    """What ends the thread early is told by `failure` and raised by stop, and the results stay in the stream."""
    collector.start()
    server.xadd(STREAM, {"attempt": "{}", "examples": "no JSON"})
    while collector.failure is None:
        pass
    with pytest.raises(PartsError, match="is not a result"):
        collector.stop()
    assert server.xlen(STREAM) == 1


def test_two_collectors(server: redis.Redis, collector: Collector, tmp_path: Path) -> None:
    """A second collector is refused, to the same folder and to another, before it takes anything."""
    settle(server, range(1, 3))
    collector.step()
    same, another = Collector(server, "j", tmp_path / "job"), Collector(server, "j", tmp_path / "other")
    with pytest.raises(CollectedElsewhere, match=rf"^Job j is being collected to {tmp_path}/job by another"):
        same.start()
    with pytest.raises(CollectedElsewhere, match=rf"is being collected to \S+:{tmp_path}/job"):
        another.start()
    collector.close()
    with pytest.raises(CollectedElsewhere, match=rf"was collected in part to \S+:{tmp_path}/job"):
        another.step()
    another.close()
    same.start()
    same.stop()


def test_a_folder_that_moved(server: redis.Redis, collector: Collector, tmp_path: Path) -> None:
    """The folder is known by itself: under another path the rest is collected to it all the same."""
    settle(server, range(1, 3))
    collector.step()
    collector.close()
    (tmp_path / "job").rename(tmp_path / "mounted elsewhere")
    settle(server, range(3, 6))
    moved = Collector(server, "j", tmp_path / "mounted elsewhere")
    moved.drain()
    moved.close()
    assert collected(tmp_path / "mounted elsewhere") == expected(range(1, 6))
