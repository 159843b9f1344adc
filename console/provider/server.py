"""The server: beside a test or a demo in a thread, or as a process of its own."""

from __future__ import annotations

import asyncio
import errno
import signal
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from config.errors import UserError
from config.logs import say
from console.provider.app import make_app
from console.provider.audit import Call
from console.provider.composing import Answer, built_in_answer
from console.provider.settings import ProviderSettings
from console.provider.simulation import Simulation

_FLUSH_SECONDS = 1.0
# aiohttp waits this long, twice, for calls in flight before it cancels them; 0 would wait for ever.
_SHUTDOWN_SECONDS = 0.05
# A fleet opens hundreds of connections in the same moment.
_BACKLOG = 1024

T = TypeVar("T")


class ProviderError(UserError):
    """The simulated provider cannot start."""


def serve(settings: ProviderSettings) -> None:
    """Serve until SIGTERM or SIGINT; prints one line with the address to give as OPENROUTER_BASE_URL.

    Raises:
        ProviderError: the port is taken, or the host has no such address.
    """
    asyncio.run(_serve(Simulation(settings)))


class SimulatedProvider:
    """The provider in a thread of its own, for as long as a `with` block or from `start` to `stop`."""

    def __init__(self, settings: ProviderSettings | None = None, answer: Answer = built_in_answer) -> None:
        self._simulation = Simulation(settings or ProviderSettings(), answer)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._root = ""

    @property
    def root_url(self) -> str:
        """Where /bill, /audit, /control and /health are."""
        return self._root

    @property
    def base_url(self) -> str:
        """The OpenRouter flavour, for OPENROUTER_BASE_URL."""
        return f"{self._root}/api/v1"

    @property
    def openai_base_url(self) -> str:
        """The OpenAI flavour, for OPENAI_BASE_URL."""
        return f"{self._root}/v1"

    def start(self) -> Self:
        """Return once it takes calls.

        Raises:
            ProviderError: as `serve`.
        """
        started: Future[str] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._run(started),), name="simulated-provider", daemon=True
        )
        self._thread.start()
        self._root = started.result()
        return self

    def stop(self) -> None:
        """Cancel what is in flight, write the audit, and return when the port is closed."""
        if self._thread is not None and self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = self._loop = None

    def bill(self) -> dict[str, Any]:
        """The bill, as `GET /bill` gives it; still there after `stop`."""
        return self._ask(self._simulation.books.bill.as_dict)

    def audit(self) -> list[Call]:
        """The calls that are remembered, in the order in which they ended; still there after `stop`."""
        return self._ask(lambda: list(self._simulation.books.audit))

    def control(self, **changes: Any) -> None:
        """Change settings from the next call on, as `POST /control` does.

        Raises:
            ControlError: as `control.changed`.
        """
        self._ask(lambda: self._simulation.change(changes))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _run(self, started: Future[str]) -> None:
        try:
            async with _listening(self._simulation) as root:
                self._loop = asyncio.get_running_loop()
                started.set_result(root)
                await self._stop.wait()
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    def _ask(self, question: Callable[[], T]) -> T:
        """Run in the server's thread, which alone touches the simulation while it serves."""
        if self._loop is None:
            return question()

        async def ask() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result()


async def _serve(simulation: Simulation) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with _listening(simulation) as root:
        say("serving", what="Simulated provider", url=f"{root}/api/v1")
        await stop.wait()


@asynccontextmanager
async def _listening(simulation: Simulation) -> AsyncIterator[str]:
    """Take calls; gives the address without a path."""
    settings = simulation.settings
    runner = web.AppRunner(
        make_app(simulation), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise _why(settings, error) from None
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        flushing = asyncio.create_task(_flush_regularly(simulation))
        try:
            yield f"http://{host}:{runner.addresses[0][1]}"
        finally:
            flushing.cancel()
    finally:
        await runner.cleanup()
        simulation.books.audit.flush()


async def _flush_regularly(simulation: Simulation) -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        simulation.books.audit.flush()


def _why(settings: ProviderSettings, error: OSError) -> ProviderError:
    if error.errno == errno.EADDRINUSE:
        return ProviderError(f"Port {settings.port} of {settings.host} is taken; choose another, or 0 for a free one.")
    return ProviderError(f"{settings.host}:{settings.port} cannot be listened on: {error.strerror or error}.")
