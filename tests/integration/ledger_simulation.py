"""A fleet on the bench's clock: hours of work in seconds, through the scripts and the lines that workers have."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import selectors
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from ledger_bench import MICROSECONDS, NOON, Bench, Direct, Job

from config.models import Limits
from console.provider.buckets import Limiter
from ledger import fleet
from ledger.leases import Grant
from workers.line import Line

Draw = Callable[[random.Random], float]
Sizes = Callable[[random.Random], tuple[int, int]]
"""Draws a call's prompt and completion tokens."""


class Clock(selectors.DefaultSelector):
    """A selector that never waits: what a loop would wait is added to the bench's time."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.now = (bench.at - NOON) / MICROSECONDS

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everything waits for something that will not come"
        self.now += max(0.0, timeout)
        self.bench.at = NOON + round(self.now * MICROSECONDS)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time is the bench's and passes only by waiting."""

    def __init__(self, bench: Bench) -> None:
        self.clock = Clock(bench)
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


@dataclass(frozen=True)
class Made:
    """A call that was made: when, in seconds since noon, for which job, by whom, and what it used."""

    at: float
    job: str
    worker: str
    expected: int
    tokens: int
    counted: int
    """Tokens, as the provider counts them."""
    refused: bool


class Provider:
    """Buckets of so many seconds' depth, that refuse; without limits it takes everything.

    Attributes:
        chance: of a refusal that has nothing to do with any limit.
        retry_after: in the refusals, in seconds more than what the bucket needs; None leaves it out.
    """

    def __init__(self, depth: float = 1.0, *, chance: float = 0.0, retry_after: float | None = None, **limits: Any):
        self.chance, self.retry_after, self._depth = chance, retry_after, depth
        self._limiter = Limiter(Limits(**limits), depth, depth, 0.0)

    def change(self, now: float, **limits: Any) -> None:
        """Other limits from now on."""
        self._limiter.change(Limits(**limits), now)

    def refuses(self, tokens: int, now: float, rng: random.Random) -> int | None:
        """None, or milliseconds of Retry-After, 0 where it does not say."""
        refusal = self._limiter.admit(tokens, now)
        if refusal is None and rng.random() >= self.chance:
            return None
        if self.retry_after is None:
            return 0
        return round(((refusal.seconds if refusal else 0.0) + self.retry_after) * 1000) + 1

    def release(self) -> None:
        """A call has ended."""
        self._limiter.release()


@dataclass
class Work:
    """A job's calls: how large they are, how long they take in seconds, and what is left to do."""

    job: Job
    sizes: Sizes
    latency: Draw
    units: deque[int]


@dataclass
class Worker:
    """A process: a line per job, and the calls that it is at work on."""

    name: str
    leases: Direct
    lines: dict[str, Line] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Fleet:
    """Workers that make the calls of jobs of one model.

    Attributes:
        made: every call, in the order of admission.
        questions: how often the ledger was asked for admission.
    """

    def __init__(self, bench: Bench, provider: Provider | None = None, seed: int = 0) -> None:
        self.bench, self.provider = bench, provider or Provider()
        self.rng = random.Random(seed)
        self.made: list[Made] = []
        self.questions = 0
        self.works: dict[str, Work] = {}
        self.workers: dict[str, Worker] = {}
        self._dead: list[asyncio.Task[None]] = []
        self._numbers = itertools.count()
        self._loop = Loop(bench)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        left = [task for worker in self.workers.values() for task in worker.tasks] + self._dead
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left))
        self._loop.close()

    def now(self) -> float:
        """Seconds since noon."""
        return self._loop.time()

    def run(self, seconds: float, *happens: tuple[float, Callable[[], Any]]) -> None:
        """Lets so many seconds pass; `happens` are things to do after so many of them."""
        begin = self.now()
        for after, what in sorted(happens, key=lambda one: one[0]):
            self._loop.run_until_complete(asyncio.sleep(begin + after - self.now()))
            what()
        self._loop.run_until_complete(asyncio.sleep(begin + seconds - self.now()))
        for task in [task for worker in self.workers.values() for task in worker.tasks if task.done()]:
            task.result()

    def work_on(self, job: Job, sizes: Sizes | tuple[int, int], latency: Draw | float = 1.0) -> None:
        """From now on calls of the job are made, of all its tasks that are on its list."""
        draw: Sizes = sizes if callable(sizes) else lambda _: sizes
        takes: Draw = latency if callable(latency) else lambda _: latency
        units = deque(int(unit) for unit in self.bench.redis.hkeys(f"genfleet:job:{job.id}:todo"))
        self.works[job.id] = Work(job, draw, takes, units)

    def start(self, worker: str, job: Job, calls: int) -> None:
        """The worker works on the job, with at most so many calls at once, that wait or are made."""
        at_work = self.workers.setdefault(worker, Worker(worker, self.bench.direct(worker)))
        at_work.lines.setdefault(job.id, Line())
        at_work.tasks += [self._loop.create_task(self._work(at_work, self.works[job.id])) for _ in range(calls)]

    def kill(self, worker: str) -> None:
        """The worker dies in the middle of its calls, and nobody has missed it yet."""
        self._dead += self.workers.pop(worker).tasks
        for task in self._dead:
            task.cancel()

    def bury(self, worker: str) -> None:
        """The worker is found dead: its examples go to others."""
        self.bench.advance(0)
        for job, unit in fleet.reap(self.bench.redis, worker, now=True):
            if job in self.works:  # and not of another fleet, whose worker had the same name
                self.works[job].units.append(unit)

    async def _work(self, worker: Worker, work: Work) -> None:
        while work.units:
            await self._make(worker, work, work.units.popleft())

    async def _make(self, worker: Worker, work: Work, unit: int) -> None:
        job, line = work.job, worker.lines[work.job.id]
        outcome = "again"
        while outcome == "again":
            token = f"{worker.name}-{next(self._numbers)}"
            grant = await line.admit(functools.partial(self._ask, worker, job, unit, token))
            if not isinstance(grant, Grant):
                return
            prompt, completion = work.sizes(self.rng)
            completion = min(completion, grant.max_tokens)
            counted = prompt + (grant.max_tokens if job.model.token_counting == "reserved" else completion)
            retry_after = self.provider.refuses(counted, self.now(), self.rng)
            tokens = prompt + completion
            refused = retry_after is not None
            self.made.append(Made(self.now(), job.id, worker.name, grant.expected_tokens, tokens, counted, refused))
            figures: dict[str, Any] = {"retry_after_ms": retry_after}
            if refused:
                await asyncio.sleep(0.05)
            else:
                await asyncio.sleep(work.latency(self.rng))
                self.provider.release()
                outcome = "accepted"
                figures = {"prompt_tokens": prompt, "completion_tokens": completion}
            job.settle(unit, token, worker.name, "again" if refused else "accepted", **figures)
            for waiting in worker.lines.values():
                waiting.settled()

    async def _ask(self, worker: Worker, job: Job, unit: int, token: str, more: bool) -> Any:
        self.questions += 1
        return await worker.leases.admit(job.id, job.model.name, unit, token, more=more)


def lognormal(median: float, sigma: float) -> Draw:
    """Draws from a lognormal distribution."""
    return lambda rng: rng.lognormvariate(0, sigma) * median
