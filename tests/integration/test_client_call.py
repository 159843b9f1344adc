"""Calls over a real connection: what a provider or the way to it does wrong is a failure, and never an error."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from config.models import Model, load_models
from workers.client import Answer, Client
from workers.errors import Failure

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5}
BODY = json.dumps(
    {
        "id": "gen-1",
        "model": "gpt-4o",
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Ciao"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
).encode()


def model_at(port: int) -> Model:
    """A model whose provider is on this port of this machine."""
    gpt = load_models()["gpt-4o"]
    provider = gpt.provider.model_copy(update={"base_url": f"http://127.0.0.1:{port}/v1", "base_url_env": None})
    return gpt.model_copy(update={"provider": provider})


def reply(status: str, body: bytes, headers: str = "") -> Handler:
    """A server that answers every request so."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{kind}{headers}\r\n".encode() + body)

    return handle


def raw(answer: bytes) -> Handler:
    """A server that sends these bytes and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return handle


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that reads all and says nothing."""
    await reader.read()


def call(handler: Handler | None, seconds: float = 30) -> Answer | Failure:
    """One call to a server that does this; to a port where nobody listens, where there is none."""

    handled: list[asyncio.Task[Any] | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handled.append(asyncio.current_task())
        await (handler or silent)(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def main() -> Answer | Failure:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if handler is None:
            server.close()
            await server.wait_closed()
        model = model_at(port)
        client = Client(model.provider, "key")
        try:
            return await client.call(REQUEST, model, seconds)
        finally:
            await client.close()
            server.close()
            await asyncio.gather(*filter(None, handled))

    return asyncio.run(main())


def test_an_answer() -> None:
    """A completion comes back as facts, priced by the table where the provider names no cost."""
    answer = call(reply("200 OK", BODY))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("Ciao", 3, 1)
    assert (answer.cost, answer.cost_source) == (3 * 2500 + 10_000, "prices")


CUT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"


@pytest.mark.parametrize(
    ("handler", "transport"),
    [
        (None, "connect"),
        (raw(b""), "connection"),
        (raw(CUT), "connection"),
        (raw(b"hello\r\n\r\n"), "connection"),
        (reply("200 OK", b"<html>"), "connection"),
        (reply("200 OK", b""), "connection"),
        (reply("200 OK", b"[" * 100_000), "connection"),
        (reply("200 OK", b"\xff\xfe\xff"), "connection"),
    ],
    ids=["nobody listens", "hangs up", "cut", "no HTTP", "a page", "empty", "endless nesting", "no text"],
)
def test_the_way_breaks(handler: Handler | None, transport: str) -> None:
    """Only a call that could not be sent is known to be free; one that broke later may have been billed."""
    failure = call(handler)
    assert isinstance(failure, Failure)
    assert failure.transport == transport


def test_no_answer_in_time() -> None:
    """A provider that says nothing is given up when the recipe's time is over."""
    failure = call(silent, seconds=0.3)
    assert isinstance(failure, Failure)
    assert failure.transport == "timeout"


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        ("429 Too Many Requests", b'{"error": {"code": 429}}', "Retry-After: 7\r\n", Failure(429, retry_after=7)),
        ("503 Service Unavailable", b"<html>", "", Failure(503)),
        ("402 Payment Required", b'{"error": {"metadata": {"reason": "r"}}}', "", Failure(402, code="r")),
        ("200 OK", b'{"error": {"code": 502}}', "", Failure(502)),
        ("418 I'm a teapot", b"[]", "", Failure(418)),
    ],
)
def test_the_provider_says_no(status: str, body: bytes, headers: str, expected: Failure) -> None:
    """An error status is a failure with that status, tried once: retries are not the client's affair."""
    failure = call(reply(status, body, headers))
    assert isinstance(failure, Failure)
    assert failure == Failure(**{**vars(expected), "latency": failure.latency})
