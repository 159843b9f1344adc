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
from concurrent.futures import CancelledError, Future
from threading import get_ident
from time import monotonic
from typing import Any, cast

from config import folders
from config.importing import importable_from
from config.settings import settings
from ledger.fleet import Unit
from ledger.server_clock import ServerClock
from workers.checks import Checks
from workers.clerk import Clerk
from workers.clients import Clients
from workers.generate import generate
from workers.greenlets import begin, wait_for
from workers.journal import Journal
from workers.orphan import find_classes
from workers.patience import Stopped
from workers.replay import replay
from workers.verdict import Verdict

_RELEASE_ROUNDS = 100  # of 10 ms: longer than the broker takes to answer


class Process:
    """What all tasks of this process share. One event loop in a thread of its own does all the work."""

    def __init__(self, url: str, worker: str | None = None) -> None:
        self.worker = worker or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.places = 100
        self.on_arrival: Callable[[str], None] = lambda job: None
        self.on_again: Callable[[str, int, int], None] = lambda job, unit, attempt: None
        """Called when an attempt at a task has failed and another follows."""
        self.refused: frozenset[str] = frozenset()
        """Jobs that this process cannot make; their tasks go back to the queue."""
        self.draining = False
        self.sick: str | None = None
        """Why this process should end and another take its place, as the end of a sentence."""
        self.clients = Clients()
        self.checks = Checks()
        self.turned_at = monotonic()
        """When the event loop last did what it was given, by `turn`."""
        self.closed = False
        """Its event loop has ended, or does so now."""
        self.clock = ServerClock()
        self._held: dict[Unit, asyncio.Task[Any]] = {}
        self._by_job: Counter[str] = Counter()
        self._making: set[Future[Verdict | None]] = set()
        self._back: list[Unit] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="genfleet", daemon=True)
        self._thread.start()
        self._journal = Journal(folders.journal(), self.worker)
        self.clerk: Clerk = self._run(self._hired(url)).result()
        find_classes()
        if (folder := settings().recipes_folder) is not None:
            importable_from(folder)
        self._run(replay(self._journal, self.clerk))

    async def _hired(self, url: str) -> Clerk:
        # On the event loop, to which its connections belong.
        return Clerk(url, self.worker, self._journal)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    # What Celery's pool and its tasks call.

    def begin(self, task: Callable[[], object]) -> None:
        """Runs a task on the event loop, soon."""
        begin(task, self._loop)

    def generate(self, job: str, unit: int) -> Verdict | None:
        """Makes the examples of one task; None where there was nothing to do or the process drains."""
        making = self._hold(job, unit)
        try:
            return wait_for(making, self._loop) if get_ident() == self._thread.ident else self._from_afar(making)
        finally:
            self.clerk.on_room(job)

    def _from_afar(self, work: Coroutine[Any, Any, Verdict | None]) -> Verdict | None:
        """From a thread of another pool of Celery's, as `celery worker -P threads` has."""
        making: Future[Verdict | None] = self._run(work)
        self._making.add(making)
        if self.closed:
            # A task that Celery had in its own line is begun when the others have ended, and with them the event loop:
            # it would wait for ever, and the process with it. Its message is sent again.
            making.cancel()
        try:
            return making.result()
        except CancelledError:
            return None
        finally:
            self._making.discard(making)

    async def _hold(self, job: str, unit: int) -> Verdict | None:
        self.on_arrival(job)
        if (job, unit) in self._held:
            # The second delivery of a message that this process is at work on.
            return None
        if self.draining or job in self.refused:
            self._back.append((job, unit))
            return None
        self._held[job, unit] = cast("asyncio.Task[Any]", asyncio.current_task())
        self._by_job[job] += 1
        try:
            async with self._free:
                return await generate(job, unit, self)
        except (asyncio.CancelledError, Stopped):
            self._back.append((job, unit))
            return None
        except Exception:
            # A lease that a mistake of ours left behind ends with this process, and the example goes back.
            if (job, unit) in self.clerk.busy:
                self.sick = f"{job} {unit} could not be settled"
                self.clerk.busy.discard((job, unit))
            raise
        finally:
            del self._held[job, unit]
            self._by_job[job] -= 1
            if not self._by_job[job]:
                del self._by_job[job]

    # What housekeeping and shutdown call, from other threads.

    @property
    def places(self) -> int:
        """Tasks that may be under way here at a time; others wait, first come, first served."""
        return self._places

    @places.setter
    def places(self, places: int) -> None:
        self._places, self._free = places, asyncio.Semaphore(places)

    @property
    def has_room(self) -> bool:
        """Whether a place is free, and nobody waits for it."""
        return len(self._held) < self.places

    def turn(self) -> None:
        """Gives the event loop something to do, so that `turned_at` tells whether it still turns."""

        def turned() -> None:
            self.turned_at = monotonic()

        self._loop.call_soon_threadsafe(turned)

    def waiting(self) -> list[Unit]:
        """The examples this process holds without a lease."""
        return [unit for unit in list(self._held) if unit not in self.clerk.busy]

    def idle(self) -> Counter[str]:
        """By job, how many examples this process holds without a lease."""
        # Copied at once: the event loop changes them meanwhile.
        held, leased = dict(self._by_job), dict(self.clerk.busy.by_job)
        return Counter({job: count - leased.get(job, 0) for job, count in held.items()})

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
        # One of them may be granted its lease at this moment, and stays.
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
        self.clerk.patience.late = True
        for task in self._held.values():
            # A call is cut short and settled as unknown; a settlement under way is not cut, see clerk.py.
            task.cancel()
        await self._ended(None)
        return back + self._back

    async def _ended(self, seconds: float | None) -> None:
        held = list(self._held.values())
        if held:
            await asyncio.wait(held, timeout=seconds)

    def close(self) -> None:
        """Closes connections and ends the loop; nothing may be held any more."""

        async def close() -> None:
            await self.clients.close()
            await self.clerk.close()

        with contextlib.suppress(TimeoutError):
            self._run(close()).result(timeout=5)
        self.closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        for making in list(self._making):
            making.cancel()
