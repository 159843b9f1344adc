"""One worker process: its event loop, its connections, and what it holds at this moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from config import folders
from config.importing import importable_from
from config.models import Model
from config.settings import settings
from ledger.fleet import Unit
from workers.clerk import Clerk, Stopped
from workers.client import Answer, Client
from workers.errors import Failure
from workers.generate import generate
from workers.journal import Journal
from workers.orphan import find_classes
from workers.verdict import Verdict

_RELEASE_ROUNDS = 100  # of 10 ms: longer than the broker takes to answer


class Process:
    """What all tasks of this process share. One event loop in a thread of its own does all the work."""

    def __init__(self, url: str, worker: str | None = None) -> None:
        self.worker = worker or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.threads = 100
        """Tasks that this process may hold at a time."""
        self.on_arrival: Callable[[str], None] = lambda job: None
        self.draining = False
        self._clients: dict[str, Client] = {}
        self._held: dict[Unit, asyncio.Task[Verdict | None]] = {}
        self._back: list[Unit] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="genfleet", daemon=True)
        self._thread.start()
        self.clerk: Clerk = self._run(self._hired(url)).result()
        find_classes()
        if (folder := settings().recipes_folder) is not None:
            importable_from(folder)
        self._run(self.clerk.replay())

    async def _hired(self, url: str) -> Clerk:
        # On the event loop, to which its connections belong.
        return Clerk(url, self.worker, Journal(folders.journal(), self.worker))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    # What a Celery task calls, from its thread.

    def generate(self, job: str, unit: int) -> Verdict | None:
        """Makes the examples of one task; None where there was nothing to do or the process drains."""
        try:
            verdict: Verdict | None = self._run(self._hold(job, unit)).result()
        finally:
            self.clerk.on_room(job)
        return verdict

    async def _hold(self, job: str, unit: int) -> Verdict | None:
        self.on_arrival(job)
        if (job, unit) in self._held:
            # The second delivery of a message that this process is at work on.
            return None
        if self.draining:
            self._back.append((job, unit))
            return None
        task = asyncio.ensure_future(generate(job, unit, self))
        self._held[job, unit] = task
        try:
            return await task
        except (asyncio.CancelledError, Stopped):
            self._back.append((job, unit))
            return None
        except Exception:
            # A lease that a mistake of ours left behind ends with this process, and the example goes back.
            self.clerk.busy.discard((job, unit))
            raise
        finally:
            del self._held[job, unit]

    # What generate() calls, on the event loop, besides the clerk.

    async def call(self, request: dict[str, Any], model: Model, seconds: float) -> Answer | Failure:
        """Makes a call through this process's one client for the model's provider."""
        name = model.provider.name
        if name not in self._clients:
            self._clients[name] = Client(model.provider, model.provider.key() or "")
        return await self._clients[name].call(request, model, seconds)

    # What housekeeping and shutdown call, from other threads.

    def waiting(self) -> list[Unit]:
        """The examples this process holds without a lease."""
        return [unit for unit in list(self._held) if unit not in self.clerk.busy]

    def idle(self) -> Counter[str]:
        """By job, how many examples this process holds without a lease."""
        return Counter(job for job, _ in self.waiting())

    def release(self, tasks: dict[str, int]) -> list[Unit]:
        """Lets go of so many of each job's examples that have no lease, and names them: they go back to the queue."""
        waiting = self.waiting()
        # Those that came last have been tried least.
        going = [unit for job, count in tasks.items() for unit in [one for one in waiting if one[0] == job][-count:]]
        back: list[Unit] = self._run(self._release(going)).result()
        return back

    async def _release(self, going: list[Unit]) -> list[Unit]:
        going = [unit for unit in going if unit in self._held and unit not in self.clerk.busy]
        for unit in going:
            self._held[unit].cancel()
        # Let `_hold` note what goes back; one of them may be granted its lease at this moment, and stays.
        for _ in range(_RELEASE_ROUNDS):
            await asyncio.sleep(0.01)
            if not any(unit in self._held and unit not in self.clerk.busy for unit in going):
                break
        back, self._back = self._back, []
        return back

    def drain(self, grace: float) -> list[Unit]:
        """Takes no more examples up, lets calls in flight end within `grace` seconds, and names what goes back."""
        self.draining = True
        back: list[Unit] = self._run(self._drain(grace)).result()
        return back

    async def _drain(self, grace: float) -> list[Unit]:
        back = await self._release(list(self._held))
        await self._ended(grace)
        self.clerk.late = True
        for task in self._held.values():
            # A call is cut short and settled as unknown; a settlement under way is not cut, see clerk.py.
            task.cancel()
        await self._ended(None)
        return back + self._back

    async def _ended(self, seconds: float | None) -> None:
        held = list(self._held.values())
        if held:
            await asyncio.wait(held, timeout=seconds)
        # Let `_hold` note what goes back.
        await asyncio.sleep(0.01)

    def close(self) -> None:
        """Closes connections and ends the loop; nothing may be held any more."""

        async def close() -> None:
            for client in self._clients.values():
                await client.close()
            await self.clerk.close()

        with contextlib.suppress(TimeoutError):
            self._run(close()).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
