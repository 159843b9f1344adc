"""The ledger of a very long job, made by the ledger's own writes: every task registered, admitted and settled.

What stands in for a fleet: no model is called and no task is sent; the scripts' questions go to the broker in
pipelines, as many workers at once would ask them; results are taken off the stream as a collector does, and not kept.
A fortnight's readings are written in the form of `ledger.history.record`, dated before now.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from config.models import Limits, Model, Provider
from config.money import Price
from config.recipe import Recipe, Sampling
from ledger import fleet, jobs, keys, latest, limits, todo
from ledger.connection import Redis
from ledger.jobs import Spec
from ledger.leases import Leases, Settlement
from ledger.results import Results
from ledger.scripts import script_text
from ledger.todo import Item

WORKERS, IN_FLIGHT = 8, 800
JOB_READINGS, MODEL_READINGS, FORTNIGHT = 9_000, 20_000, 14 * 86_400
OTHER_JOBS = 200
_BATCH = 1_000
_CAUSES = ("invalid", "refused", "length", "http_500", "timeout")


class _Asked(Exception):
    """What a worker would ask one of the ledger's scripts."""

    def __init__(self, names: list[str], arguments: list[Any]) -> None:
        self.names, self.arguments = names, arguments


class _Worker(Leases):
    """A worker's leases, of which the questions are taken before they are sent."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        asks: Any = self._take
        self._admit = self._settle = asks

    async def _take(self, keys: list[str], args: list[Any]) -> Any:
        raise _Asked(keys, args)

    @staticmethod
    def question(asking: Coroutine[Any, Any, Any]) -> tuple[list[str], list[Any]]:
        """Keys and arguments of a script."""
        try:
            asking.send(None)
        except _Asked as asked:
            return asked.names, asked.arguments
        raise AssertionError("it asked nothing")


def model() -> Model:
    """One with limits that never bind."""
    provider = Provider(name="p", base_url="http://p.invalid", api_key_env="P_KEY")
    return Model(
        name="anthropic/claude-haiku-4.5",
        provider=provider,
        context_window=100_000,
        max_output_tokens=100_000,
        price=Price(input=Decimal(1), output=Decimal(5)),
        limits=Limits(requests_per_minute=1e9, tokens_per_minute=1e12, concurrent_requests=1_000_000),
    )


def make(redis: Redis, examples: int) -> str:
    """A job of so many examples, all but IN_FLIGHT of them settled and those in flight; its id."""
    of = model()
    limits.declare(redis, of)
    recipe = Recipe(
        name="quiz", model=of.name, prompt="?", output={"type": "object"}, sampling=Sampling(max_tokens=400)
    )
    for _ in range(OTHER_JOBS):
        other = f"quiz-{uuid.uuid4().hex[:10]}"
        jobs.create(redis, other, Spec(recipes=(recipe,), model=of.name, total=10, seed=0), of, [of], 10)
        jobs.set_state(redis, other, "cancelled")
    job = f"quiz-{uuid.uuid4().hex[:10]}"
    spec = Spec(recipes=(recipe,), model=of.name, total=examples, seed=0)
    jobs.create(redis, job, spec, of, [of], examples)
    jobs.set_budget(redis, job, 10**13)
    _readings(redis, job, of.name, examples)
    beat(redis)
    workers = [_Worker(f"host-{1000 + n}-{n:06x}") for n in range(WORKERS)]
    results, done = Results(redis, job), 0
    while done < examples:
        size = min(_BATCH, examples - done)
        todo.register(redis, job, spec, [_item(unit) for unit in range(done, done + size)])
        done += size
        granted = _ask(redis, "admit", [
            worker.question(worker.admit(job, of.name, unit, f"t{unit}"))
            for unit, worker in _shared(workers, done - size, done)
        ])  # fmt: skip
        assert all(reply[0] == b"go" for reply in granted), granted[0]
        # Those of one question are all of one job, which the broker has not lost.
        incarnation = granted[0][-1].decode()
        last = min(done, examples - IN_FLIGHT)
        _ask(redis, "settle", [
            worker.question(worker.settle(job, of.name, unit, f"t{unit}", incarnation, *_end(unit, job, worker.worker)))
            for unit, worker in _shared(workers, done - size, last)
        ])  # fmt: skip
        results.claim("bench", "nowhere")
        entries = results.read("0", 2 * _BATCH)
        if entries:
            results.trim(entries[-1][0])
    for number in range(latest.ACCEPTED):
        redis.hset(keys.job(job, "latest"), mapping=_kept(number, job))
    redis.hset(keys.job(job), "first_at", round((time.time() - FORTNIGHT) * 1e6))
    return job


def beat(redis: Redis) -> None:
    """The heartbeats of the workers."""
    for n in range(WORKERS):
        fleet.beat(redis, f"host-{1000 + n}-{n:06x}", [])


def _shared(workers: list[_Worker], first: int, last: int) -> list[tuple[int, _Worker]]:
    return [(unit, workers[unit % len(workers)]) for unit in range(first, last)]


def _ask(redis: Redis, script: str, questions: list[tuple[list[str], list[Any]]]) -> list[Any]:
    sha = redis.script_load(script_text(script))
    with redis.pipeline(transaction=False) as pipe:
        for names, arguments in questions:
            pipe.evalsha(sha, len(names), *names, *arguments)
        return list(pipe.execute())


def _item(unit: int) -> Item:
    variables = {"subject": "storia", "passage": "Il mare è grande e profondo. " * 8}
    return Item(unit=unit, recipe=0, first=unit, count=1, fraction=0.0, variables=variables, prompt_bytes=300)


def _end(unit: int, job: str, worker: str) -> tuple[Settlement, dict[str, Any], list[dict[str, Any]]]:
    """One in fifty is rejected, the others are accepted."""
    used: dict[str, Any] = {"cost": 400_000, "prompt_tokens": 120, "completion_tokens": 56, "latency": 2.0}
    bad = unit % 50 == 0
    reason = _CAUSES[unit // 50 % len(_CAUSES)] if bad else ""
    counts = {"rejected": 1} if bad else {"accepted": 1}
    settlement = Settlement(outcome="rejected" if bad else "accepted", reason=reason, **counts, **used)
    attempt = _attempt(unit, worker) | {"job": job}
    return settlement, attempt, [_example(unit, job, reason)]


def _attempt(unit: int, worker: str) -> dict[str, Any]:
    facts = {"recipe": "quiz", "answered_by": "claude", "worker": worker, "latency_seconds": 2.0}
    return {"unit": unit, "attempt": 1, "at": datetime.now(UTC).isoformat()} | facts


def _example(unit: int, job: str, reason: str) -> dict[str, Any]:
    output = {"question": "Che cos'è il mare?", "options": ["acqua", "terra", "aria"], "answer": "acqua"}
    end = (
        {"outcome": "rejected", "reason": reason, "detail": "no", "raw": "{" * 2_000} if reason else {"output": output}
    )
    facts = {"id": f"{job}-{unit:06d}", "index": unit, "recipe": "quiz", "at": datetime.now(UTC).isoformat()}
    return {"outcome": "accepted", "variables": {"subject": "storia"}} | facts | end


def _kept(number: int, job: str) -> dict[str, bytes]:
    """What workers keep of the newest examples."""
    kept = latest.fields("accepted", "", _attempt(number, "w"), [_example(number, job, "")], number)
    for reason in _CAUSES:
        kept |= latest.fields("rejected", reason, _attempt(number, "w"), [_example(number, job, reason)], number)
    return kept


def _readings(redis: Redis, job: str, of: str, examples: int) -> None:
    now = time.time()
    with redis.pipeline(transaction=False) as pipe:
        for n in range(JOB_READINGS):
            done = examples * n // JOB_READINGS
            at = round(1000 * (now - FORTNIGHT + FORTNIGHT * n / JOB_READINGS))
            figures = {"accepted": done, "rejected": done // 50, "attempts": done, "prompt_tokens": 120 * done}
            more = {"completion_tokens": 56 * done, "spent": 400_000 * done, "running": IN_FLIGHT}
            pipe.xadd(keys.job(job, "history"), figures | more, id=f"{at}-0")
        for n in range(MODEL_READINGS):
            at = round(1000 * (now - 4.5 * (MODEL_READINGS - n)))
            use = {"requests": 9_000, "tokens": 1_600_000, "in_flight": 800, "share": "1.0000", "refused": 3}
            bound = {"rpm": 10_000, "tpm": 2_000_000, "concurrent": 1_000, "waited_requests": 400 * n}
            pipe.xadd(keys.history(of), use | bound, id=f"{at}-0")
        pipe.execute()
