"""A ledger of a test's own on a real server: models, jobs, workers, and time that passes when the test says so."""

from __future__ import annotations

import asyncio
import functools
import itertools
import re
import struct
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Self, TypeVar

import pytest
import redis

from config.models import Limits, Model, Provider
from config.money import Price
from config.recipe import Recipe, Sampling
from ledger import fleet, jobs, keys, leases, limits, todo
from ledger.jobs import Spec
from ledger.leases import Drop, Grant, Leases, Settlement, Wait
from ledger.scripts import script_text
from ledger.status import Status, status_of
from ledger.todo import Item

T = TypeVar("T")
Outcome = Literal["accepted", "rejected", "again"]
Counting = Literal["actual", "reserved"]

MICROSECONDS = 1_000_000
NOON = 1_768_478_400 * MICROSECONDS
"""When a bench's time begins: noon of 15 January 2026, UTC."""
CLOCK = "bench:clock"
SERVER_TIME = "redis.call('TIME')"


@functools.cache
def script_on_the_clock(name: str) -> str:
    """One of the ledger's scripts, which reads the time where a bench keeps it."""
    text = script_text(name)
    assert text.count(SERVER_TIME) <= 1
    told = "string.match(ARGV[#ARGV] or '', '^clock (%d+)$')"
    return text.replace(SERVER_TIME, f"{{0, {told} or redis.call('GET', '{CLOCK}')}}")


def constants(name: str) -> dict[str, float]:
    """The tunable figures of one of the ledger's scripts, by their names."""
    found = re.findall(r"^local ([A-Z_]+) = ([0-9.]+)\b", script_text(name), re.MULTILINE)
    return {figure: float(value) for figure, value in found}


ADMIT = constants("admit")


class Direct(Leases):
    """A worker's leases over the test's own connection: what `Leases` sends and reads, without an event loop.

    The time goes along with each question: no key has to be set before it.
    """

    def __init__(self, bench: Bench, worker: str) -> None:
        self.worker = worker
        self._bench = bench
        self._redis = bench.line
        self._admit = self._at_once("admit")
        self._settle = self._at_once("settle")

    def _at_once(self, name: str) -> Any:
        script = self._redis.register_script(leases.script_text(name))

        async def ask(keys: list[str], args: list[Any]) -> Any:
            return script(keys, args if self._bench.real_time else [*args, f"clock {self._bench.at}"])

        return ask


def done(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


def fullest(times: Sequence[float], amounts: Sequence[float], seconds: float) -> float:
    """The most that falls within less than so many seconds, at any offset; the times ascend."""
    most, held, first = 0.0, 0.0, 0
    for last, time in enumerate(times):
        held += amounts[last]
        # A microsecond for what the times lose as floating point numbers.
        while times[first] <= time - seconds + 1e-6:
            held -= amounts[first]
            first += 1
        most = max(most, held)
    return most


class Bench:
    """Jobs and workers on one server, under names that no other bench uses.

    The scripts read the bench's clock, which stands still until a test advances it; in `real_time` they read the
    server's, as they do in production.

    Attributes:
        incarnations: by job and token, that of the job when it admitted the attempt.
    """

    def __init__(self, url: str, client: redis.Redis, *, real_time: bool = False) -> None:
        self.url = url
        self.redis: Any = client
        self.line: Any = redis.Redis.from_url(url, single_connection_client=True)
        self.name = uuid.uuid4().hex[:8]
        self.real_time = real_time
        self.at = NOON
        self._patch = pytest.MonkeyPatch()
        self._runner = asyncio.Runner()
        self._workers: dict[str, Leases] = {}
        self._direct: dict[str, Direct] = {}
        self._numbers = itertools.count()
        self.incarnations: dict[tuple[str, str], str] = {}

    def __enter__(self) -> Self:
        if not self.real_time:
            script_on_the_clock("admit"), script_on_the_clock("settle"), script_on_the_clock("reap")
            self._patch.setattr(leases, "script_text", script_on_the_clock)
            self._patch.setattr(fleet, "script_text", script_on_the_clock)
            self._patch.setattr(self.redis, "time", lambda: divmod(self.at, MICROSECONDS))
            self.advance(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        self.line.close()
        for worker in self._workers.values():
            self.run(worker.close())
        self._runner.close()

    def advance(self, seconds: float) -> None:
        """Makes it so many seconds later for the ledger."""
        assert not self.real_time
        self.at += round(seconds * MICROSECONDS)
        self.redis.set(CLOCK, self.at)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, on this bench's event loop."""
        return self._runner.run(work)

    def worker(self, name: str = "w") -> Leases:
        """The leases of the worker of that name, as a process has them."""
        if name not in self._workers:
            self._workers[name] = Leases(self.url, name)
        return self._workers[name]

    def direct(self, name: str = "w") -> Direct:
        """The leases of the worker of that name, for tests that do one thing after the other."""
        if name not in self._direct:
            self._direct[name] = Direct(self, name)
        return self._direct[name]

    def model(self, *, price: tuple[int, int] = (0, 0), counting: Counting = "actual", **declared: Any) -> Model:
        """A model known to the ledger; `price` is nano-dollars per prompt and per completion token."""
        provider = Provider(name="p", base_url="http://p.invalid", api_key_env="P_KEY")
        model = Model(
            name=f"maker/{self.name}-{next(self._numbers)}",
            provider=provider,
            context_window=100_000,
            max_output_tokens=100_000,
            price=Price(input=Decimal(price[0]) / 1000, output=Decimal(price[1]) / 1000),
            limits=Limits(**declared),
            token_counting=counting,
        )
        limits.declare(self.redis, model)
        return model

    def job(
        self,
        model: Model,
        units: int = 1,
        *,
        registered: int | None = None,
        items: int = 1,
        prompt_bytes: int = 100,
        max_tokens: int = 400,
        budget: int | None = None,
        recipe: str = "quiz",
    ) -> Job:
        """A running job of `units` tasks of `items` examples; the first `registered` tasks are on its list."""
        made = Recipe(
            name=recipe,
            model=model.name,
            prompt="?",
            output={"type": "object"},
            sampling=Sampling(max_tokens=max_tokens),
        )
        spec = Spec(recipes=(made,), model=model.name, total=units * items, seed=0)
        job = Job(self, f"{recipe}-{self.name}-{next(self._numbers)}", model, spec, items, prompt_bytes)
        assert jobs.create(self.redis, job.id, spec, model, [model], units)
        if budget is not None:
            jobs.set_budget(self.redis, job.id, budget)
        job.register(units if registered is None else registered)
        return job

    def now(self) -> float:
        """The server's time in seconds."""
        seconds, microseconds = self.redis.time()
        return float(seconds + microseconds / MICROSECONDS)

    def level(self, model: Model, of: Literal["requests", "tokens"]) -> float:
        """A bucket's level as it was stored last."""
        return float(self.redis.hget(keys.model(model.name), of) or 0)

    def minute(self, model: Model) -> tuple[int, int]:
        """Requests and tokens of the last minute, as the ledger sums them and as its window holds them."""
        use = limits.use(self.redis, model.name)
        held = {name: int(value) for name, value in self.redis.hgetall(keys.window(model.name)).items()}
        for kind, total in ((b"r", use.requests), (b"t", use.tokens)):
            assert sum(value for name, value in held.items() if name.startswith(kind)) == total
        return use.requests, use.tokens

    def share(self, model: Model) -> float:
        """The share of the limit in use as it was stored last."""
        return limits.use(self.redis, model.name).share

    def places(self, model: Model) -> dict[str, float]:
        """The turns of the lines that were told to wait, by "<worker> <job>"."""
        lines = self.redis.hgetall(keys.waiting(model.name))
        return {line.decode(): struct.unpack(">ddd", place)[0] for line, place in lines.items()}


@dataclass(frozen=True)
class Job:
    """One job of a bench, admitted and settled by hand."""

    bench: Bench
    id: str
    model: Model
    spec: Spec
    items: int
    prompt_bytes: int

    def register(self, count: int) -> None:
        """Puts the next `count` tasks on the job's list."""
        first = todo.cursor(self.bench.redis, self.id)
        tasks = [
            Item(
                unit=unit,
                recipe=0,
                first=unit * self.items,
                count=self.items,
                fraction=0.0,
                variables={"n": unit},
                prompt_bytes=self.prompt_bytes,
            )
            for unit in range(first, first + count)
        ]
        if tasks:
            todo.register(self.bench.redis, self.id, self.spec, tasks)

    def admit(
        self, unit: int = 0, token: str | None = None, worker: str = "w", *, more: bool = False
    ) -> Grant | Wait | Drop:
        """Asks once; the token is the unit's number unless the test cares."""
        token = token or f"t{unit}"
        reply = done(self.bench.direct(worker).admit(self.id, self.model.name, unit, token, more=more))
        if isinstance(reply, Grant):
            self.bench.incarnations[self.id, token] = reply.incarnation
        return reply

    def granted(self, unit: int = 0, token: str | None = None, worker: str = "w", *, more: bool = False) -> Grant:
        """As admit, where the test expects a grant."""
        reply = self.admit(unit, token, worker, more=more)
        assert isinstance(reply, Grant), reply
        return reply

    def waits(self, unit: int = 0, token: str | None = None, worker: str = "w", *, more: bool = False) -> Wait:
        """As admit, where the test expects to be told to wait."""
        reply = self.admit(unit, token, worker, more=more)
        assert isinstance(reply, Wait), reply
        return reply

    def wait_for(self, unit: int) -> float:
        """Asks until the unit is granted, letting the time pass that each answer names; says how many seconds."""
        waited = 0.0
        while isinstance(reply := self.admit(unit), Wait):
            self.bench.advance(reply.milliseconds / 1000)
            waited += reply.milliseconds / 1000
        assert isinstance(reply, Grant), reply
        return waited

    def settle(
        self,
        unit: int = 0,
        token: str | None = None,
        worker: str = "w",
        outcome: Outcome = "accepted",
        **figures: Any,
    ) -> str:
        """Settles an attempt, see `settlement`; as one that the job has never admitted where it has not."""
        token = token or f"t{unit}"
        settlement = self.settlement(outcome, **figures)
        examples = [] if outcome == "again" else [{"index": unit * self.items + k} for k in range(self.items)]
        attempt = {"unit": unit, "token": token, "outcome": outcome}
        incarnation = self.bench.incarnations.get((self.id, token), "")
        held = self.bench.direct(worker)
        return done(held.settle(self.id, self.model.name, unit, token, incarnation, settlement, attempt, examples))

    def settlement(self, outcome: Outcome, **figures: Any) -> Settlement:
        """A settlement of one of the job's tasks; all its examples share its outcome unless `figures` counts them."""
        counts = {} if outcome == "again" else {outcome: self.items}
        return Settlement(
            outcome=outcome, **({"reason": "" if outcome == "accepted" else "invalid"} | counts | figures)
        )

    def status(self) -> Status:
        """One reading of the job."""
        return status_of(self.bench.redis, self.id)

    def money(self) -> tuple[int, int, int]:
        """Nano-dollars spent, reserved and unknown."""
        values = self.bench.redis.hmget(keys.job(self.id), ["spent", "reserved", "unknown"])
        spent, reserved, unknown = (int(value or 0) for value in values)
        return spent, reserved, unknown

    def in_flight(self) -> int:
        """The calls in flight of the job's model, as the ledger counts them."""
        return limits.use(self.bench.redis, self.model.name).in_flight

    def part(self, name: str) -> dict[str, str]:
        """One of the job's hashes."""
        return {k.decode(): v.decode() for k, v in self.bench.redis.hgetall(keys.job(self.id, name)).items()}

    def results(self) -> list[tuple[str, str]]:
        """The stream of results: (attempt, examples), JSON texts."""
        entries = self.bench.redis.xrange(keys.job(self.id, "results"))
        return [(fields[b"attempt"].decode(), fields[b"examples"].decode()) for _, fields in entries]

    def snapshot(self) -> dict[str, Any]:
        """Everything that the ledger keeps of the job and its model, to compare."""
        client = self.bench.redis
        names = [
            *client.scan_iter(match=keys.job(self.id, "*"), count=1000),
            keys.job(self.id),
            keys.model(self.model.name),
            keys.window(self.model.name),
        ]
        return {str(name): client.xlen(name) if client.type(name) == b"stream" else self._value(name) for name in names}

    def _value(self, name: Any) -> Any:
        client = self.bench.redis
        read = {b"hash": client.hgetall, b"set": client.smembers}
        return read.get(client.type(name), client.get)(name)
