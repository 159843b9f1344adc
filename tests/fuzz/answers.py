"""What a provider answers: any JSON, any bytes, any headers, in any pieces."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from config.models import Model, load_models
from config.output import Invalid, Output
from config.recipe import Recipe
from config.recipe_files import BUILT_IN, load
from fuzz.records import RECIPE
from fuzz.target import JSON, JSON_PIECES, Target, corpus, damaged
from ledger.parts import Parts
from workers.client import Answer, Client, read
from workers.errors import Failure, decide
from workers.records import attempt_record, example_records
from workers.verdict import Tries, Verdict, judge

BODY: dict[str, Any] = {
    "id": "gen-1",
    "model": "gpt-4o",
    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": '{"a": "b"}'}}],
    "usage": {"prompt_tokens": 30, "completion_tokens": 10, "cost": 0.001},
}
PIECES = [
    *JSON_PIECES,
    b"1e999",
    b"\\ud800",
    b"\n",
    b'"error": {"code": 429}',
    b'"error": "x"',
    b'"finish_reason": "length"',
    b'"refusal": "no"',
    b'"cost": 1e12',
    b'"choices": []',
    b'"usage": []',
    b"```json\n",
    b"```",
    b"[" * 3_000,
    b"9" * 5_000,
    b'"a": 1',
    b"<html>",
]
_MOST_NANO = 10**15
RECIPES = [
    RECIPE.model_copy(update={"call": RECIPE.call.model_copy(update={"attempts": attempts})}) for attempts in (1, 3)
]


def gpt() -> Model:
    """A model that is called at OpenAI."""
    return load_models()["gpt-4o"]


def _settled(reply: Answer | Failure) -> None:
    """Whatever came, what is made of it can be settled, stored and read again."""
    for recipe in RECIPES:
        item = {"recipe": 0, "first": 0, "count": 1, "variables": {"n": "1"}}
        verdict = judge(reply, recipe, item, Tries(), random.Random(0))
        assert isinstance(verdict, Verdict)
        told = json.loads(verdict.settlement.to_script())
        assert -1 <= told["cost"] <= _MOST_NANO
        assert all(0 <= told[name] <= 1e9 for name in ("prompt_tokens", "completion_tokens", "cached_tokens"))
        assert 0 <= verdict.pause <= 300
        assert 0 <= (told.get("retry_after_ms") or 0) <= 1_000_000
        attempt = attempt_record("small-0123456789", 0, 1, recipe, "w", verdict, reply)
        examples = example_records(verdict, item, attempt)
        assert len(examples) == (0 if verdict.settlement.outcome == "again" else 1)
        # As they go to the ledger, and from there to the disk.
        entry = ("1-1", json.dumps(attempt).encode(), json.dumps(examples, ensure_ascii=False).encode())
        with tempfile.TemporaryDirectory() as folder:
            parts = Parts(Path(folder))
            assert parts.write([entry]) == len(examples)
            parts.close()


def any_body(body: Any) -> None:
    """A body of status 200 is an answer or a failure, of which all that follows can be made."""
    reply = read(body, gpt(), 1.0)
    assert isinstance(reply, Answer | Failure)
    _settled(reply)


def any_failure(given: tuple[int, Any]) -> None:
    """A failure of any status and words is decided, and its reason is one word."""
    status, error = given
    reply = read({"error": error or {"code": status}}, gpt(), 1.0)
    assert isinstance(reply, Failure)
    decision = decide(reply)
    assert decision.reason.isidentifier()
    assert "Traceback" not in decision.reason
    _settled(reply)


_OUTPUTS: list[tuple[Output, Recipe]] = []


def _outputs() -> list[tuple[Output, Recipe]]:
    if not _OUTPUTS:
        recipes = [load(path) for path in sorted(BUILT_IN.glob("*.toml"))]
        _OUTPUTS.extend((recipe.checked_output, recipe) for recipe in [*recipes, RECIPE])
    return _OUTPUTS


def any_text(given: tuple[bytes, int]) -> None:
    """The text of an answer gives as many examples as were asked for, each one good or with a reason."""
    text, items = given[0].decode("utf-8", "replace"), given[1]
    for output, recipe in _outputs():
        read_ = output.read(text, items, {})
        assert len(read_) == items
        for one in read_:
            if isinstance(one, Invalid):
                assert one.detail
                assert len(one.detail) < 2_000
            else:
                json.dumps(one)
                with suppress(Exception):
                    recipe.conversation(one, {})


def any_bytes(pieces: list[bytes]) -> None:
    """Whatever a server sends, in whatever pieces, a call ends as an answer or a failure, in its time."""
    asyncio.run(_called(pieces))


async def _called(pieces: list[bytes]) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    plain = gpt()
    provider = plain.provider.model_copy(update={"base_url": f"http://127.0.0.1:{port}/v1", "base_url_env": None})
    client = Client(provider, "sk-test")
    try:
        request = {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5}
        reply = await client.call(request, plain.model_copy(update={"provider": provider}), 5.0)
        assert isinstance(reply, Answer | Failure)
        assert reply.latency < 6
        _settled(reply)
    finally:
        await client.close()
        server.close()
        await server.wait_closed()


def _http(status: bytes, headers: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n" + body


@st.composite
def _pieces(draw: st.DrawFn) -> list[bytes]:
    body = draw(damaged([json.dumps(BODY).encode(), *corpus("answers")], PIECES))
    status = draw(
        st.sampled_from([b"200 OK", b"429 Too Many", b"500 x", b"204 x", b"302 Found", b"100 Continue", b"999 x", b"x"])
    )
    lines = [
        b"Content-Type: application/json",
        b"Content-Type: text/event-stream",
        b"Content-Type: \xff",
        b"Retry-After: 5",
        b"Retry-After: -1",
        b"Retry-After: Wed, 99 Foo 2026",
        b"Retry-After: 1e400",
        b"retry-after-ms: nan",
        b"Connection: close",
        b"Content-Length: " + str(len(body)).encode(),
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: x",
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip",
        b"Content-Encoding: br",
        b"Location: http://127.0.0.1:9/",
        b"x-ratelimit-limit-requests: 1e9",
        b"x-ratelimit-limit-tokens: \xc3\x28",
        b"X: " + b"y" * 20_000,
        b": x",
        b"no colon",
        b"Set-Cookie: a=b; Domain=..",
        b"Content-Type: application/json; charset=utf-7",
    ]
    chosen = draw(st.lists(st.sampled_from(lines), max_size=5))
    whole = _http(status, b"".join(line + b"\r\n" for line in chosen), body)
    if draw(st.booleans()):
        chunks = b"".join(
            b"%x\r\n%b\r\n" % (len(body[k : k + 7]), body[k : k + 7]) for k in range(0, min(len(body), 700), 7)
        )
        whole = _http(
            status,
            b"Transfer-Encoding: chunked\r\n",
            chunks + draw(st.sampled_from([b"0\r\n\r\n", b"", b"zz\r\n", b"fffffffffff\r\n"])),
        )
    if draw(st.integers(0, 9)) == 0:
        whole = draw(st.binary(max_size=60))
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]


_NAMES = [
    "id",
    "model",
    "choices",
    "usage",
    "error",
    "content",
    "message",
    "finish_reason",
    "refusal",
    "cost",
    "code",
    "prompt_tokens",
]
_NAMES += [
    "completion_tokens",
    "prompt_tokens_details",
    "cached_tokens",
    "metadata",
    "availability",
    "retry_after",
    "type",
    "text",
]
_BODIES = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6),
    max_leaves=15,
)
_MESSAGE = st.fixed_dictionaries({}, optional={"content": JSON | st.just('{"a": "b"}'), "refusal": JSON, "role": JSON})
_CHOICE = st.fixed_dictionaries(
    {}, optional={"finish_reason": JSON | st.sampled_from(["stop", "length"]), "message": _MESSAGE | JSON}
)
_COUNTS = JSON | st.integers(0, 10**12) | st.floats(0, 1e12)
_USAGE = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["prompt_tokens", "completion_tokens", "total_tokens", "cost", "cache_read_input_tokens"], _COUNTS
    ),
)
_LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "model": JSON | st.just("gpt-4o"),
        "choices": st.lists(_CHOICE | JSON, max_size=2),
        "usage": _USAGE | JSON,
    },
)
TARGETS = {
    "bodies of answers": Target(_LIKELY | _BODIES, any_body),
    "errors of providers": Target(st.tuples(st.integers(-1, 1000), _BODIES), any_failure),
    "texts of answers": Target(st.tuples(damaged(corpus("answers"), PIECES), st.sampled_from([1, 1, 3])), any_text),
    "bytes of providers": Target(_pieces(), any_bytes),
}
