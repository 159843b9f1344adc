"""Plain functions on an event loop, and the pool that runs Celery's tasks so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from workers import pool as pools
from workers.greenlets import begin, wait_for


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread of its own."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


def test_functions_wait_side_by_side_in_one_thread(loop: asyncio.AbstractEventLoop) -> None:
    """Each waits for something that another does later, and has its own variables; no thread is made for them."""
    told: list[asyncio.Event] = []
    seen: list[tuple[int, int]] = []
    mine: ContextVar[int] = ContextVar("mine")
    done = threading.Event()
    threads = threading.active_count()

    async def turn(number: int) -> int:
        told.append(asyncio.Event())
        if number < 9:
            await told[number].wait()
        for event in told:
            event.set()
        return mine.get()

    def work(number: int) -> None:
        mine.set(number)
        seen.append((wait_for(turn(number), loop), mine.get()))
        if len(seen) == 10:
            done.set()

    for number in range(10):
        begin(lambda number=number: work(number), loop)  # type: ignore[misc]
    assert done.wait(10)
    assert sorted(seen) == [(number, number) for number in range(10)]
    assert threading.active_count() == threads


def test_what_a_coroutine_raises_reaches_the_function(loop: asyncio.AbstractEventLoop) -> None:
    """An error is raised where the function waits, and so is the end of a task that somebody cancels."""
    caught: list[type[BaseException]] = []
    done = threading.Event()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError

    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop.call_soon(task.cancel)
        await asyncio.sleep(60)

    def work() -> None:
        for coroutine in (fail(), cancelled()):
            try:
                wait_for(coroutine, loop)
            except BaseException as error:
                caught.append(type(error))
        done.set()

    begin(work, loop)
    assert done.wait(10)
    assert caught == [LookupError, asyncio.CancelledError]


def test_the_pool_ends_when_its_tasks_have(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery hears when a task begins and what came of it, and the pool stops once the last has ended."""

    class Process:
        closed = False

        def begin(self, task: Any) -> None:
            begin(task, loop)

    monkeypatch.setattr(pools, "process", Process)
    pool = pools.Pool(limit=3)
    pool.start()
    begun, heard, release = threading.Semaphore(0), list[Any](), asyncio.Event()

    def task(number: int) -> int:
        wait_for(release.wait(), loop)
        return number

    def stop() -> None:
        heard.append("stopping")
        pool.stop()
        heard.append("stopped")

    for number in range(3):
        pool.apply_async(task, (number,), accept_callback=lambda pid, at: begun.release(), callback=heard.append)
    for _ in range(3):
        assert begun.acquire(timeout=10)
    stopping = threading.Thread(target=stop)
    stopping.start()
    while not heard:
        pass
    loop.call_soon_threadsafe(release.set)
    stopping.join(10)
    assert (heard[0], sorted(heard[1:-1]), heard[-1]) == ("stopping", [0, 1, 2], "stopped")
    assert pool.info["max-concurrency"] == 3


def test_a_task_that_begins_as_the_event_loop_ends_does_not_hold_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody will ever go on with it: the pool stops without it."""
    ended = asyncio.new_event_loop()

    class Process:
        closed = False

        def begin(self, task: Any) -> None:
            begin(task, ended)

    process = Process()
    monkeypatch.setattr(pools, "process", lambda: process)
    pool = pools.Pool(limit=1)
    pool.start()
    pool.apply_async(lambda: wait_for(asyncio.sleep(0), ended), callback=lambda result: None)
    ended.call_soon(ended.stop)
    ended.run_forever()
    stopping = threading.Thread(target=pool.stop)
    stopping.start()
    process.closed = True
    stopping.join(10)
    assert not stopping.is_alive()
    # For the tidiness of this test alone: what it left waiting.
    ended.run_until_complete(asyncio.gather(*asyncio.all_tasks(ended)))
    ended.close()
