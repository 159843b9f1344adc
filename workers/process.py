"""One worker process: its event loop, its connections, and what it holds at this moment."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import redis

from config.models import Model
from config.output import importable_from
from config.settings import settings
from ledger.fleet import Unit
from ledger.jobs import Spec
from ledger.leases import Drop, Grant, Leases, Settlement, Wait
from workers.client import Answer, Client
from workers.errors import Failure
from workers.generate import Stopped, generate
from workers.journal import Journal
from workers.line import Line
from workers.verdict import Verdict

log = logging.getLogger(__name__)

_BROKER_RETRY_MOST = 5.0
_SPECS_KEPT = 64
_RELEASE_ROUNDS = 100  # of 10 ms: longer than the broker takes to answer


class Process:
    """What all tasks of this process share. One event loop in a thread of its own does all the work."""

    def __init__(self, url: str, worker: str | None = None) -> None:
        self.worker = worker or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._url = url
        self._journal = Journal(settings().data / "journal", self.worker)
        self._clients: dict[str, Client] = {}
        self._lines: dict[tuple[str, str], Line] = {}
        self._specs: OrderedDict[str, Spec] = OrderedDict()
        self.threads = 100
        """Tasks that this process may hold at a time."""
        self.on_arrival: Callable[[str], None] = lambda job: None
        self.on_room: Callable[[str], None] = lambda job: None
        self._held: dict[Unit, asyncio.Task[Verdict | None]] = {}
        self._busy: set[Unit] = set()
        self._back: list[Unit] = []
        self.draining = False
        self._late = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="genfleet", daemon=True)
        self._thread.start()
        self._leases = self._run(self._connect()).result()
        if (folder := settings().recipes_folder) is not None:
            importable_from(folder)
        self._run(self._replay())

    async def _connect(self) -> Leases:
        return Leases(self._url, self.worker)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    # What a Celery task calls, from its thread.

    def generate(self, job: str, unit: int) -> Verdict | None:
        """Makes the examples of one task; None where there was nothing to do or the process drains."""
        try:
            verdict: Verdict | None = self._run(self._hold(job, unit)).result()
        finally:
            self.on_room(job)
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
            self._busy.discard((job, unit))
            raise
        finally:
            del self._held[job, unit]

    # What generate() calls, on the event loop.

    async def spec(self, job: str) -> Spec | None:
        """What the job is; read once and kept."""
        if job not in self._specs:
            spec = await self._persist(lambda: self._leases.spec(job))
            if spec is None:
                return None
            self._specs[job] = spec
            if len(self._specs) > _SPECS_KEPT:
                self._specs.popitem(last=False)
        return self._specs[job]

    async def item(self, job: str, unit: int) -> dict[str, Any] | None:
        """A task of the job as it stands on its list, or None where it is settled."""
        item: dict[str, Any] | None = await self._persist(lambda: self._leases.item(job, unit))
        return item

    async def admit(self, job: str, model: str, unit: int, token: str) -> Grant | Drop:
        """Waits in the line of the job and its model until the ledger says go or drop."""
        line = self._lines.setdefault((model, job), Line())

        async def ask(more: bool) -> Grant | Wait | Drop:
            asking = asyncio.ensure_future(
                self._persist(lambda: self._leases.admit(job, model, unit, token, more=more))
            )
            try:
                reply: Grant | Wait | Drop = await asyncio.shield(asking)
            except asyncio.CancelledError:
                # The lease may be taken already: it is used then, or a call that nobody makes would be charged.
                await asyncio.wait([asking], timeout=_BROKER_RETRY_MOST)
                if not asking.done() or not isinstance(reply := asking.result(), Grant):
                    asking.cancel()
                    raise
            if isinstance(reply, Grant):
                # From here on the example is settled before this process lets it go.
                self._busy.add((job, unit))
            return reply

        try:
            return await line.admit(ask)
        finally:
            self.on_room(job)

    async def call(self, request: dict[str, Any], model: Model, seconds: float) -> Answer | Failure:
        """Makes a call through this process's one client for the model's provider."""
        name = model.provider.name
        if name not in self._clients:
            self._clients[name] = Client(model.provider, model.provider.key() or "")
        return await self._clients[name].call(request, model, seconds)

    async def settle(
        self,
        job: str,
        model: str,
        unit: int,
        token: str,
        settlement: Settlement,
        attempt: dict[str, Any],
        examples: list[dict[str, Any]],
    ) -> None:
        """Brings an attempt's end to the ledger, through the journal where the broker is away."""

        def write() -> None:
            record = {"job": job, "model": model, "unit": unit, "attempt": attempt, "examples": examples}
            self._journal.write(token, record | {"settlement": settlement.model_dump()})

        ask = self._persist(lambda: self._leases.settle(job, model, unit, token, settlement, attempt, examples), write)
        answer = await _uncut(ask)
        self._journal.done(token)
        self._busy.discard((job, unit))
        for (of, _), line in self._lines.items():
            if of == model:
                line.settled()
        if answer == "duplicate":
            log.info("%s %s was settled before: this answer is counted as a duplicate", job, unit)

    async def _replay(self) -> None:
        for left in self._journal.left_behind():
            settlement = Settlement.model_validate(left["settlement"])
            await self.settle(
                left["job"],
                left["model"],
                left["unit"],
                left["token"],
                settlement,
                left["attempt"],
                left["examples"],
            )

    async def _persist(self, ask: Any, on_trouble: Any = None) -> Any:
        """Asks until the broker answers; calls `on_trouble` before asking again."""
        pause = 0.1
        while True:
            try:
                return await ask()
            except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError) as error:
                if isinstance(error, redis.ResponseError) and not _passing(error):
                    raise
                log.warning("the broker does not answer (%s): trying again", type(error).__name__)
                if on_trouble is not None:
                    try:
                        on_trouble()
                    except OSError as disk:
                        # It stays in memory and is tried again: lost only if this process dies meanwhile too.
                        log.warning("the journal cannot be written (%s)", disk.strerror)
                    else:
                        if self._late:
                            # Whoever starts next on this machine settles what the journal holds.
                            raise Stopped from None
            await asyncio.sleep(pause)
            pause = min(_BROKER_RETRY_MOST, pause * 2)

    # What housekeeping and shutdown call, from other threads.

    def waiting(self) -> list[Unit]:
        """The examples this process holds without a lease."""
        return [unit for unit in list(self._held) if unit not in self._busy]

    def idle(self) -> Counter[str]:
        """By job, how many examples this process holds without a lease."""
        return Counter(job for job, _ in self.waiting())

    def in_line(self, job: str) -> int:
        """How many of the job's examples wait here for admission."""
        return sum(line.waiting for (_, of), line in list(self._lines.items()) if of == job)

    def release(self, tasks: dict[str, int]) -> list[Unit]:
        """Lets go of so many of each job's examples that have no lease, and names them: they go back to the queue."""
        waiting = self.waiting()
        # Those that came last have been tried least.
        going = [unit for job, count in tasks.items() for unit in [one for one in waiting if one[0] == job][-count:]]
        back: list[Unit] = self._run(self._release(going)).result()
        return back

    async def _release(self, going: list[Unit]) -> list[Unit]:
        going = [unit for unit in going if unit in self._held and unit not in self._busy]
        for unit in going:
            self._held[unit].cancel()
        # Let `_hold` note what goes back; one of them may be granted its lease at this moment, and stays.
        for _ in range(_RELEASE_ROUNDS):
            await asyncio.sleep(0.01)
            if not any(unit in self._held and unit not in self._busy for unit in going):
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
        self._late = True
        for task in self._held.values():
            # A call is cut short and settled as unknown; a settlement under way is not cut, see `settle`.
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
            await self._leases.close()

        with contextlib.suppress(TimeoutError):
            self._run(close()).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)


async def _uncut(work: Coroutine[Any, Any, Any]) -> Any:
    """Sees the work through although this task is cancelled meanwhile: what was paid for reaches the ledger."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()


def _passing(error: redis.ResponseError) -> bool:
    """Whether an error reply speaks of the server's state (loading, read-only, out of memory) and will pass."""
    return str(error).startswith(("LOADING", "READONLY", "OOM", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "BUSY"))
