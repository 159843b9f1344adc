"""What a worker process holds: calls in its places, a few tasks before them, and no event that nobody hears."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fleet_bench import MODEL, QUEUE, Command, Fleet

COUNT = 300


def asked(fleet: Fleet) -> int:
    """How often the broker was asked for tasks."""
    return int(fleet.redis.info("commandstats")["cmdstat_blmpop"]["calls"])


def heard(listener: Any) -> list[bytes]:
    """The topics of the events that a listener has got by now, but for the heart's."""
    topics = []
    while (found := listener.get_message(timeout=0.1)) is not None:
        if found["type"] == "pmessage" and b"/worker." not in found["channel"]:
            topics.append(found["channel"])
    return topics


@pytest.mark.parametrize("pool", [[], ["-P", "threads"]], ids=["ours", "threads"])
def test_no_more_calls_than_places(fleet: Fleet, pool: list[str]) -> None:
    """Of 50 places none is left empty, and a task that comes before there is one waits; none is lost or made twice."""
    fleet.provide(latency_seconds=0.4)
    fleet.celery(
        "-A", "workers", "worker", *pool, "-c", "50", "-n", "held@h", "-Q", "generate.anthropic/claude-haiku-4.5"
    )
    fleet.until_joined(1)
    job = fleet.submit("small", "--count", str(COUNT))
    fleet.until_settled(job, 30)
    before, began = asked(fleet), time.monotonic()
    # However slow the machine, all places are taken before the first of these calls has ended.
    fleet.hold_calls(job, 50)
    fleet.provider.control(latency_seconds=0.4)
    done = fleet.until_state(job, "complete")
    assert (done.accepted, fleet.billed("calls")) == (COUNT, COUNT)
    assert max(call.in_flight for call in fleet.provider.audit()) == 50
    if not pool:
        # Five at a time, and some four questions a second that find nothing.
        assert asked(fleet) - before < COUNT / 2 + 4 * (time.monotonic() - began)


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process, which is the provider, may have as many open as it needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4_096:
        pytest.skip("needs 4,096 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4_096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def limited(fleet: Fleet, calls: int, files: tuple[int, int]) -> Command:
    """A worker that is started with these limits, soft and hard, on open files."""
    words = ["-m", "celery", "-A", "workers", "worker", "-c", str(calls), "-n", "limited@h", "-Q", QUEUE]
    begin = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, {files})"
    return fleet.python(["-c", f"{begin}; os.execv(sys.executable, [sys.executable, *{words}])"], "limited")


def test_a_thousand_calls_need_more_files_than_a_process_may_open(fleet: Fleet, many_files: None) -> None:
    """A worker raises that limit as far as it may; each of 1,100 calls has its connection, or it says what it lacks."""
    count = 1_100
    fleet.declare({MODEL: {"concurrent_requests": count}})
    # So long that none has ended when the last begins.
    fleet.provide(latency_seconds=20.0, latency_sigma=0.0)
    worker = limited(fleet, count, (512, 4_096))
    fleet.until_joined(1)
    job = fleet.submit("small", "--count", str(count))
    assert fleet.until_state(job, "complete").accepted == fleet.billed("calls") == count
    assert max(call.in_flight for call in fleet.provider.audit()) == count
    assert worker.end().code == 0
    assert "open files" not in worker.err

    worker = limited(fleet, count, (512, 1_024))
    fleet.until(
        lambda: "1100 calls in flight need 1300 open files, and this system allows 1024" in worker.err, "it says so"
    )


def test_events_of_tasks_are_made_while_somebody_listens(fleet: Fleet) -> None:
    """Without a listener a worker tells of no task; soon after one came it does, and no more once it has gone."""
    fleet.provide(latency_seconds=0.2)
    fleet.worker(processes=1, concurrency=5)
    fleet.until_joined(1)
    job = fleet.submit("small", "--count", str(COUNT))
    fleet.until_settled(job, 20)
    with fleet.redis.pubsub() as listener:
        listener.psubscribe("/*.celeryev/*")
        fleet.until(lambda: heard(listener), "a task is told of")
    published = lambda: fleet.redis.info("commandstats")["cmdstat_publish"]["calls"]  # noqa: E731

    def quiet() -> bool:
        before, then = published(), time.monotonic()
        time.sleep(1)
        # The heart beats every two seconds; tasks are told of four times a second.
        return published() - before < 2 * (time.monotonic() - then)

    fleet.until(quiet, "no task is told of")
    assert fleet.status(job).state == "running"
    fleet.genfleet("cancel", job)
