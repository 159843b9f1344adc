"""Admission and settlement: the async face of admit.lua and settle.lua, one round trip each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ledger import keys
from ledger.damaged import reading
from ledger.fleet import DEAD_AFTER_SECONDS
from ledger.jobs import Spec, spec_of
from ledger.scripts import script_text
from ledger.shared_client import SharedClient
from ledger.storable import json_bytes
from ledger.todo import facts_of


@dataclass(frozen=True)
class Grant:
    """The call may be made: the example's todo item, which attempt this is, and what was reserved.

    `item` is None where the list holds something else than a producer writes.
    `incarnation` is that of the job, which the attempt's settlement names.
    `then` says when the next of the same line may ask; None where it was not asked for, or may ask at once.
    """

    item: dict[str, Any] | None
    attempt: int
    expected_tokens: int
    max_tokens: int
    incarnation: str
    most_nano_usd: tuple[int, int] | None = None
    """What a prompt and a completion token may cost: the prices that the budget is reserved by."""
    then: Wait | None = None


@dataclass(frozen=True)
class Wait:
    """Not yet: ask again after `milliseconds`; `binds` is requests, tokens, concurrent, pause or budget."""

    milliseconds: int
    binds: str

    @property
    def ends_with_settlement(self) -> bool:
        """Whether what binds comes free when a call is settled, and not by the passing of time."""
        return self.binds in ("concurrent", "budget", "alone")


@dataclass(frozen=True)
class Drop:
    """Nothing to do: the example is settled or leased, or its job is not running; `why` says which."""

    why: str


class Settlement(BaseModel):
    """What one attempt came to. Money in nano-dollars; `cost` is None where the answer never came."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["accepted", "rejected", "again"]
    reason: str = ""
    accepted: int = 0
    rejected: int = 0
    cost: int | None = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    latency: float | None = None
    """Seconds, of a call that was answered."""
    retry_after_ms: int | None = None
    """After a 429: how long the whole fleet leaves the model alone; 0 where the provider did not say."""
    told_rpm: float | None = None
    """The limit on requests per minute that the provider named with its answer, and that on tokens."""
    told_tpm: float | None = None
    stop: str | None = None
    """The state to give the job, where the error concerns all of it."""
    note: str | None = None

    def to_script(self) -> str:
        """As settle.lua reads it: no nulls, and -1 for a cost that is not known."""
        known = self if self.cost is not None else self.model_copy(update={"cost": -1})
        return known.model_dump_json(exclude_none=True)


class Leases:
    """The leases of one worker process."""

    def __init__(self, url: str, worker: str) -> None:
        self.worker = worker
        self._redis: Any = SharedClient.of(url)
        self._admit = self._redis.register_script(script_text("admit"))
        self._settle = self._redis.register_script(script_text("settle"))

    async def admit(self, job: str, model: str, unit: int, token: str, *, more: bool = False) -> Grant | Wait | Drop:
        """Asks for a lease on `unit` of `job`; asking again with the same token gives the same lease.

        With `more`, others of the job wait behind this one: a grant says when the next of them may ask.

        Raises:
            redis.RedisError: the broker is away; nothing is known of the lease.
        """
        reply = await self._admit(
            keys=[
                *self._keys(job, model),
                *(keys.job(job, part) for part in ("tries", "lost", "unknown")),
                keys.WORKERS,
                keys.worker(self.worker),
                keys.window(model),
                keys.waiting(model),
                keys.BUDGET,
            ],
            args=[
                unit,
                token,
                self.worker,
                job,
                keys.learned(model),
                int(DEAD_AFTER_SECONDS * 1000),
                "more" if more else "",
            ],
        )
        kind = reply[0]
        if kind == b"go":
            _, item, attempt, expected, cap, plain_in, plain_out, milliseconds, binds, incarnation = reply
            then = Wait(int(milliseconds), binds.decode()) if int(milliseconds) else None
            most = (int(plain_in), int(plain_out)) if plain_in else None
            return Grant(facts_of(item), int(attempt), int(expected), int(cap), incarnation.decode(), most, then)
        if kind == b"wait":
            return Wait(int(reply[1]), reply[2].decode())
        return Drop(reply[1].decode())

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
    ) -> str:
        """Settles the attempt that holds `token`: "settled", "duplicate", "repeat" or "gone"; see settle.lua.

        `incarnation` is that of its grant; empty where it had none.

        Raises:
            redis.RedisError: the broker is away; settle again, it changes nothing twice.
        """
        reply = await self._settle(
            keys=[
                *self._keys(job, model),
                *(keys.job(job, part) for part in ("tries", "lost", "unknown", "rejected", "reasons", "results")),
                keys.window(model),
                keys.BUDGET,
                keys.job(job, "orphans"),
            ],
            args=[
                unit,
                token,
                job,
                keys.learned(model),
                settlement.to_script(),
                json_bytes(attempt),
                json_bytes(examples),
                incarnation,
            ],
        )
        return bytes(reply).decode()

    def _keys(self, job: str, model: str) -> list[str]:
        return [
            keys.job(job),
            keys.job(job, "todo"),
            keys.job(job, "leases"),
            keys.model(model),
            keys.worker(self.worker, "leases"),
        ]

    async def spec(self, job: str) -> Spec | None:
        """What the job is, or None where the ledger does not know it. Raises Damaged."""
        with reading(f'what job "{job}" is'):
            text = await self._redis.get(keys.job(job, "spec"))
        return None if text is None else spec_of(job, text)

    async def todo(self, job: str, unit: int) -> str | None:
        """A task as it stands on the job's list, or None where it is settled. Raises Damaged."""
        with reading(f'the list of job "{job}"'):
            text = await self._redis.hget(keys.job(job, "todo"), str(unit))
        return None if text is None else text.decode("utf-8", "replace")

    async def stop(self, job: str, note: str) -> None:
        """Lets the job rest, with a note that says why."""
        script = self._redis.register_script(script_text("set_state"))
        await script(keys=[keys.job(job), keys.job(job, "todo")], args=["stopped", note])

    async def keep(self, job: str, fields: dict[str, bytes]) -> None:
        """Puts examples among the newest of the job, see latest.py. Raises redis.RedisError."""
        if fields:
            await self._redis.hset(keys.job(job, "latest"), mapping=fields)

    async def close(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()
