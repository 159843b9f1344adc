"""What a worker process asks of the ledger and tells it, patiently: it asks until the broker answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

import redis

from config.errors import RecipeError
from config.logs import log
from config.recipe_check import output_problems
from ledger.damaged import Damaged
from ledger.jobs import Spec
from ledger.latest import cause_of
from ledger.latest import fields as latest_fields
from ledger.leases import Drop, Grant, Leases, Settlement, Wait
from workers.journal import Journal
from workers.line import Line
from workers.patience import RETRY_MOST, Patience, Stopped, uncut
from workers.shown import Shown
from workers.units import Units

_LOST_SECONDS = 600.0
_JOBS_KEPT = 64


class Clerk:
    """The ledger as the tasks of one process meet it, on the process's event loop.

    Attributes:
        busy: examples that hold a lease; they are settled before this process lets them go.
        patience: how it asks.
        on_room: called with the job when one of its examples waits no longer, for admission or at all.
    """

    def __init__(self, url: str, worker: str, journal: Journal) -> None:
        self.worker = worker
        self.busy = Units()
        self.patience = Patience()
        self.on_room: Callable[[str], None] = lambda job: None
        self._journal = journal
        self._leases = Leases(url, worker)
        self._lines: dict[str, dict[str, Line]] = {}  # by model and job
        self._specs: OrderedDict[str, Spec] = OrderedDict()
        self._stopped: dict[str, str] = {}
        self._shown = Shown()

    async def spec(self, job: str) -> Spec | None:
        """What the job is; read once and kept.

        Raises:
            Damaged: what stands there is no job.
            RecipeError: it has a recipe that cannot be used here.
        """
        if job not in self._specs:
            spec = await self.patience.ask(lambda: self._leases.spec(job))
            if spec is None:
                return None
            for recipe in spec.recipes:
                # A producer has refused such a recipe, but who knows who has put it there.
                if problems := output_problems(recipe):
                    raise RecipeError(recipe.name, problems)
            self._specs[job] = spec
            if len(self._specs) > _JOBS_KEPT:
                self._specs.popitem(last=False)
        return self._specs[job]

    async def todo(self, job: str, unit: int) -> str | None:
        """A task of the job as it stands on its list, or None where it is settled. Raises Damaged."""
        text: str | None = await self.patience.ask(lambda: self._leases.todo(job, unit))
        return text

    async def stop(self, job: str, note: str) -> None:
        """Lets a job rest that cannot be worked on, and says so once."""
        self._specs.pop(job, None)
        try:
            await self.patience.ask(lambda: self._leases.stop(job, note))
        except Damaged:
            note = f"{note} It cannot be stopped either."
        self._tell_stopped(job, note)

    def _tell_stopped(self, job: str, note: str) -> None:
        """Once, until the job goes on: all its calls in flight may meet what stopped it."""
        if self._stopped.get(job) != note:
            self._stopped[job] = note
            log("job_stopped", job=job, why=note)

    async def admit(self, job: str, model: str, unit: int, token: str) -> Grant | Drop:
        """Waits in the line of the job and its model until the ledger says go or drop.

        Raises:
            Damaged: admit.lua breaks on what stands in the ledger.
        """
        line = self._line(model, job)

        async def ask(more: bool) -> Grant | Wait | Drop:
            asking = asyncio.ensure_future(
                self.patience.ask(lambda: self._leases.admit(job, model, unit, token, more=more))
            )
            try:
                reply: Grant | Wait | Drop = await asyncio.shield(asking)
            except asyncio.CancelledError:
                # The lease may be taken already: it is used then, or a call that nobody makes would be charged.
                await asyncio.wait([asking], timeout=RETRY_MOST)
                if not asking.done() or not isinstance(reply := asking.result(), Grant):
                    asking.cancel()
                    raise
            if isinstance(reply, Grant):
                self.busy.add((job, unit))
                self._stopped.pop(job, None)
            return reply

        try:
            return await line.admit(ask)
        finally:
            self.on_room(job)

    def in_line(self, job: str) -> int:
        """How many of the job's examples wait here for admission."""
        return sum(lines[job].waiting for lines in list(self._lines.values()) if job in lines)

    def _line(self, model: str, job: str) -> Line:
        lines = self._lines.setdefault(model, {})
        if job not in lines:
            if len(lines) >= _JOBS_KEPT:
                lines = self._lines[model] = {name: line for name, line in lines.items() if line.waiting}
            lines[job] = Line()
        return lines[job]

    async def settle(
        self,
        job: str,
        model: str,
        unit: int,
        token: str,
        incarnation: str,
        settlement: Settlement,
        attempt: dict[str, Any],
        examples: list[dict[str, Any]],
    ) -> None:
        """Brings an attempt's end to the ledger, through the journal where the broker is away.

        `incarnation` is that of the job when it admitted the attempt; empty where it did not.

        Raises:
            Stopped: the process has no more time; the journal holds it.
        """

        def record() -> dict[str, Any]:
            where = {"job": job, "model": model, "unit": unit, "incarnation": incarnation}
            return where | {"settlement": settlement.model_dump(), "attempt": attempt, "examples": examples}

        def write() -> None:
            self._journal.write(token, record())

        def ask() -> Coroutine[Any, Any, str]:
            return self.patience.ask(
                lambda: self._leases.settle(job, model, unit, token, incarnation, settlement, attempt, examples), write
            )

        answer = await uncut(ask())
        if answer == "gone":
            answer = await uncut(self._found_again(job, ask, write))
            if answer == "gone":
                self._journal.set_aside({"token": token, **record()}, "its job is lost")
        self._journal.done(token)
        self.busy.discard((job, unit))
        for line in self._lines.get(model, {}).values():
            line.settled()
        if settlement.stop == "stopped" and answer == "settled":
            self._tell_stopped(job, settlement.note or "")
        number = self._shown.take(job, cause_of(settlement.outcome, settlement.reason)) if answer == "settled" else None
        if number is not None:
            kept = latest_fields(settlement.outcome, settlement.reason, attempt, examples, number)
            with contextlib.suppress(redis.RedisError):  # the results have it all the same
                await uncut(self._leases.keep(job, kept))
        if answer == "duplicate":
            log("answer_duplicate", job=job, unit=unit)

    async def _found_again(
        self, job: str, ask: Callable[[], Coroutine[Any, Any, str]], write: Callable[[], None]
    ) -> str:
        """What the ledger answers once somebody has brought back a job that the broker has lost.

        It is given up after ten minutes: "gone". Raises Stopped, as `settle`.
        """
        deadline, kept = time.monotonic() + _LOST_SECONDS, False
        while True:
            self.patience.complain(f"the broker has lost job {job}, which `genfleet submit --resume DIR` brings back")
            if not kept:
                with contextlib.suppress(OSError):
                    write()
                    kept = True
            if self.patience.late and kept:
                raise Stopped
            await asyncio.sleep(RETRY_MOST)
            if (answer := await ask()) != "gone" or time.monotonic() > deadline:
                return answer

    async def close(self) -> None:
        """Closes the connections."""
        await self._leases.close()
