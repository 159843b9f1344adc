"""Many clients at once on one server, by its own clock: what is bounded stays bounded, and the sums are exact."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from ledger_bench import ADMIT, Bench, Job

from ledger import budget, fleet, jobs, keys, limits
from ledger.leases import Drop, Grant, Leases, Settlement, Wait

PROCESSES, LINES = 8, 25
CONCURRENT = 12
PRICE = (1, 10)
WORST = 100 * PRICE[0] + 400 * PRICE[1]


@pytest.fixture
def live(each_server: Any, each_redis_client: Any, no_settings: None) -> Iterator[Bench]:
    """A bench whose time is the server's."""
    with Bench(each_server.url, each_redis_client, real_time=True) as bench:
        yield bench


class Crowd:
    """Processes, each with an event loop of its own and lines that ask, call and settle until nothing is left."""

    def __init__(self, bench: Bench, made: list[Job], *, deaths: bool) -> None:
        self.bench, self.jobs, self.deaths = bench, {job.id: job for job in made}, deaths
        self.units = deque((job.id, unit) for job in made for unit in range(job.spec.total))
        random.Random(1).shuffle(self.units)
        self.lock = threading.Lock()
        self.held = 0
        self.most = 0
        self.spent: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.over: list[tuple[int, ...]] = []
        self.working = PROCESSES
        self.failed: list[BaseException] = []

    def run(self) -> None:
        """All of them, and whoever takes them for dead and watches the books meanwhile."""
        threads = [threading.Thread(target=self._process, args=(f"w{n}",)) for n in range(PROCESSES)]
        watcher = threading.Thread(target=self._watch)
        for thread in [*threads, watcher]:
            thread.start()
        for thread in [*threads, watcher]:
            thread.join()
        assert self.failed == []

    def _process(self, name: str) -> None:
        try:
            asyncio.run(self._lines(name))
        except BaseException as error:  # a thread's error would pass unseen
            self.failed.append(error)
        finally:
            self.working -= 1

    async def _lines(self, name: str) -> None:
        leases = Leases(self.bench.url, name)
        try:
            await asyncio.gather(*(self._line(leases, f"{name}-{n}") for n in range(LINES)))
        finally:
            await leases.close()

    async def _line(self, leases: Leases, name: str) -> None:
        rng, asked = random.Random(name), 0
        while True:
            try:
                job, unit = self.units.popleft()
            except IndexError:
                return
            asked += 1
            await self._make(leases, self.jobs[job], unit, f"{name}-{asked}", rng)

    async def _make(self, leases: Leases, job: Job, unit: int, token: str, rng: random.Random) -> None:
        model = job.model.name
        reply: Grant | Wait | Drop = Wait(0, "")
        while isinstance(reply, Wait):
            await asyncio.sleep(min(0.02, reply.milliseconds / 1000) * rng.random())
            reply = await leases.admit(job.id, model, unit, token, more=rng.random() < 0.5)
        if isinstance(reply, Drop):
            if reply.why == "poison":
                poison = Settlement(outcome="rejected", reason="poison", rejected=1)
                await leases.settle(job.id, model, unit, token, "", poison, {}, [{}])
            return
        with self.lock:
            self.held += 1
            self.most = max(self.most, self.held)
        await asyncio.sleep(0.004 * rng.random())
        with self.lock:
            self.held -= 1
        cost = rng.choice([None, 0, rng.randint(1, WORST), WORST])
        settlement = Settlement(outcome="accepted", accepted=1, cost=cost, prompt_tokens=25, completion_tokens=50)
        answer = await leases.settle(job.id, model, unit, token, reply.incarnation, settlement, {}, [{}])
        with self.lock:
            self.answers[answer] += 1
            if answer != "repeat":
                self.spent[job.id] += cost or 0

    def _watch(self) -> None:
        rng, fleet_books = random.Random(0), ("per_day", "spent", "reserved", "unknown")
        with redis.Redis.from_url(self.bench.url) as client:
            while self.working:
                for name, fields in [
                    (keys.BUDGET, fleet_books),
                    *((keys.job(job), ("budget", *fleet_books[1:])) for job in self.jobs),
                ]:
                    most, *parts = (int(value or 0) for value in client.hmget(name, fields))
                    if sum(parts) > most or min(parts) < 0:
                        self.over.append((most, *parts))
                if self.deaths:
                    # A worker that is taken for dead goes on all the same: its answers come late.
                    units = fleet.reap(client, f"w{rng.randrange(PROCESSES)}", now=True)
                    self.units.extend(units)


@pytest.mark.parametrize("deaths", [False, True])
def test_nothing_is_passed_and_all_adds_up(live: Bench, deaths: bool) -> None:
    """Eight processes of 25 lines, two jobs, budgets near their ends: no limit is passed at any moment, sums are exact.

    Where workers are taken for dead meanwhile their calls go on, so more may be in flight than the ledger knows.
    """
    model = live.model(price=PRICE, concurrent_requests=CONCURRENT)
    poor, rich = (live.job(model, 250, prompt_bytes=100, max_tokens=400) for _ in range(2))
    for job, calls in ((poor, 60), (rich, 400)):
        jobs.set_budget(live.redis, job.id, calls * WORST - 1)
    budget.change(live.redis, 190 * WORST - 1)
    crowd = Crowd(live, [poor, rich], deaths=deaths)
    crowd.run()

    assert crowd.over == []
    if not deaths:
        assert crowd.most <= CONCURRENT
        assert crowd.answers["repeat"] == crowd.answers["duplicate"] == 0
    assert crowd.answers["settled"] > 100
    books = budget.read(live.redis)
    money = {job.id: job.money() for job in (poor, rich)}
    assert {job: spent for job, (spent, _, _) in money.items()} == {job.id: crowd.spent[job.id] for job in (poor, rich)}
    assert (books.spent, books.reserved) == (sum(crowd.spent.values()), 0)
    assert books.unknown == sum(unknown for _, _, unknown in money.values())
    for job in (poor, rich):
        assert money[job.id][1:] == (0, sum(int(kept.split()[0]) for kept in job.part("unknown").values()))
        assert job.part("leases") == {}
        status = job.status()
        assert status.accepted + status.rejected + len(job.part("todo")) == 250
        assert status.duplicates + status.accepted <= status.attempts == len(job.results())
    assert limits.use(live.redis, model.name).in_flight == 0
    assert live.redis.hget(keys.model(model.name), "doubt") == b"0"
    # Money was what ended the jobs; late answers may have given some of it back since.
    assert poor.status().state == rich.status().state == "budget"
    if not deaths:
        assert books.spent + books.unknown + WORST > 190 * WORST - 1


def test_every_task_is_granted_once(live: Bench) -> None:
    """Twenty processes that are all given the same 200 tasks hold at most seven calls, and make each once."""
    job = live.job(live.model(concurrent_requests=7), 200)
    held: set[int] = set()
    granted: list[int] = []
    most = 0

    async def work(name: str) -> None:
        nonlocal most
        leases = Leases(live.url, name)
        for unit in range(200):
            token = f"{name}-{unit}"
            while isinstance(reply := await leases.admit(job.id, job.model.name, unit, token), Wait):
                assert reply.binds == "concurrent"
                # Others settle meanwhile; only their turn is needed, no time.
                await asyncio.sleep(0)
            if isinstance(reply, Grant):
                held.add(unit)
                granted.append(unit)
                most = max(most, len(held))
                await asyncio.sleep(0)
                held.discard(unit)
                settlement = Settlement(outcome="accepted", accepted=1)
                told = (unit, token, reply.incarnation, settlement, {}, [{}])
                assert await leases.settle(job.id, job.model.name, *told) == "settled"
        await leases.close()

    async def everyone() -> None:
        await asyncio.gather(*(work(f"w{n}") for n in range(20)))

    live.run(everyone())
    assert most <= 7
    assert sorted(granted) == list(range(200))
    assert job.in_flight() == 0
    assert job.status().state == "complete"


def test_the_servers_clock_paces_the_fleet(live: Bench) -> None:
    """At 1,200 requests a minute, more than a second by the server's clock admit at most rate x time + burst."""
    job = live.job(live.model(requests_per_minute=1200), 500)
    units = iter(range(500))
    granted = 0

    async def work(leases: Leases, until: float) -> None:
        nonlocal granted
        unit = next(units)
        while live.now() < until:
            reply = await leases.admit(job.id, job.model.name, unit, f"t{unit}")
            if isinstance(reply, Grant):
                granted += 1
                unit = next(units)
            elif isinstance(reply, Wait):
                await asyncio.sleep(reply.milliseconds / 1000)

    async def everyone(until: float) -> None:
        await asyncio.gather(*(work(live.worker(f"w{n}"), until) for n in range(5)))

    before = live.now()
    live.run(everyone(before + 1.5))
    rate = 1200 / ADMIT["WINDOW"]
    assert 0 < granted <= rate * (live.now() - before + ADMIT["BURST"]) + 1
