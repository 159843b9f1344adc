"""The provider's HTTP interface: the calls as OpenRouter and OpenAI take them, and a look behind the counter."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web

from console.provider.control import ControlError, controls
from console.provider.faults import Fault
from console.provider.flavours import Flavour, Reply
from console.provider.openai_flavour import OPENAI
from console.provider.openrouter_flavour import OPENROUTER
from console.provider.pages import generation_page, key_page, models_page, openai_models_page
from console.provider.simulation import Simulation

_MAX_BODY_BYTES = 64 * 1024 * 1024


def make_app(simulation: Simulation) -> web.Application:
    """The application that serves one simulation."""
    api = _Api(simulation)
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    for prefix, flavour in (("/api/v1", OPENROUTER), ("/v1", OPENAI)):
        app.router.add_post(f"{prefix}/chat/completions", partial(api.chat, flavour))
    app.router.add_get("/api/v1/models", api.models)
    app.router.add_get("/v1/models", api.openai_models)
    app.router.add_get("/api/v1/generation", api.generation)
    app.router.add_get("/api/v1/key", api.key)
    app.router.add_get("/bill", api.bill)
    app.router.add_get("/audit", api.audit)
    app.router.add_post("/control", api.control)
    app.router.add_get("/health", api.health)
    return app


class _Api:
    """The handlers; what they decide, the simulation decides."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def chat(self, flavour: Flavour, request: web.Request) -> web.Response:
        call = self._simulation.arrive(flavour, request.headers.get("Authorization"), await request.read())
        if isinstance(call, Reply):
            return _answer(call)
        try:
            if call.latency_seconds > 0:
                await asyncio.sleep(call.latency_seconds)
            if call.fault is Fault.TIMEOUT:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._simulation.leave(call)
            raise
        reply = self._simulation.finish(call)
        return _reset(request) if reply is None else _answer(reply)

    async def models(self, request: web.Request) -> web.Response:
        return _json(models_page(self._simulation.settings))

    async def openai_models(self, request: web.Request) -> web.Response:
        return _json(openai_models_page(self._simulation.settings))

    async def generation(self, request: web.Request) -> web.Response:
        refusal = self._simulation.authorized(OPENROUTER, request.headers.get("Authorization"))
        if refusal is not None:
            return _answer(refusal)
        wanted = request.query.get("id", "")
        call = self._simulation.books.audit.find(wanted)
        if call is None:
            return _answer(OPENROUTER.error(404, f"Generation {wanted} not found", "not_found"))
        return _json(generation_page(call))

    async def key(self, request: web.Request) -> web.Response:
        refusal = self._simulation.authorized(OPENROUTER, request.headers.get("Authorization"))
        return _answer(refusal) if refusal else _json(key_page(self._simulation.books.bill.cost_nano_usd))

    async def bill(self, request: web.Request) -> web.Response:
        return _json(self._simulation.books.bill.as_dict())

    async def audit(self, request: web.Request) -> web.Response:
        lines = "".join(f"{call.line()}\n" for call in self._simulation.books.audit)
        return web.Response(text=lines, content_type="application/x-ndjson")

    async def control(self, request: web.Request) -> web.Response:
        try:
            self._simulation.change(json.loads(await request.read()))
        except ControlError as problem:
            return _json({"error": {"code": 400, "message": str(problem)}}, 400)
        except ValueError:
            return _json({"error": {"code": 400, "message": "The body is not JSON."}}, 400)
        return _json(controls(self._simulation.settings))

    async def health(self, request: web.Request) -> web.Response:
        return _json({"status": "ok", "in_flight": self._simulation.in_flight})


def _answer(reply: Reply) -> web.Response:
    return _json(reply.body, reply.status, reply.headers)


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(body=text.encode(), status=status, headers=headers, content_type="application/json")


def _reset(request: web.Request) -> web.Response:
    transport = request.transport
    if transport is not None:
        # Lingering for no time makes the system send a reset instead of an orderly end.
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    # Nothing of it can be written to a connection that is gone.
    return web.Response()
