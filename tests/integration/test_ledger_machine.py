"""The ledger against a model of it in plain Python, under every mixture of what workers and people do."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from ledger_bench import Bench, Job

from ledger import fleet, jobs, keys, limits
from ledger.leases import Drop, Grant, Wait

UNITS, ITEMS = 5, 2
PRICE = (3, 11)
Outcome = Literal["accepted", "rejected", "again"]

outcomes = st.sampled_from(["accepted", "rejected", "again"])
workers = st.sampled_from(["a", "b", "c"])
shares = st.floats(0, 1)


@dataclass
class Attempt:
    """One token: whose it is, what for, and what was reserved for it."""

    job: Truth
    unit: int
    worker: str
    token: str
    reserved: int
    number: int


@dataclass
class Truth:
    """What a job should be."""

    real: Job
    worst: int
    state: str = "running"
    budget: int | None = None
    bound: int | None = None
    """The most that may be charged: the budget, or what was charged already when it was lowered."""
    registered: int = 3
    todo: set[int] = field(default_factory=lambda: {0, 1, 2})
    rejected_units: dict[int, int] = field(default_factory=dict)
    lost: dict[int, int] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    settled: dict[int, int] = field(default_factory=dict)
    """How often each task was settled: more than once only after it was tried again."""
    spent: int = 0
    accepted: int = 0
    rejected: int = 0
    attempts: int = 0
    duplicates: int = 0
    duplicate_spent: int = 0

    def finish(self) -> None:
        """All settled is complete, unless a person has cancelled."""
        if self.state != "cancelled" and self.registered == UNITS and not self.todo:
            self.state = "complete"


class Ledger(RuleBasedStateMachine):
    """Two jobs of one model, three workers. Time passes only where a rule says so."""

    def __init__(self, url: str, client: redis.Redis) -> None:
        super().__init__()
        self.bench = Bench(url, client)
        self.model = self.bench.model(price=PRICE)
        self.concurrent: int | None = None
        self.paused = False
        self.tokens = itertools.count()
        self.workers: set[str] = set()
        self.jobs = [self.make(prompt_bytes=10, max_tokens=20), self.make(prompt_bytes=7, max_tokens=50)]
        self.live: list[Attempt] = []
        self.unknown: list[Attempt] = []
        self.reaped: list[Attempt] = []
        self.ended: list[tuple[Attempt, dict[str, Any]]] = []

    def make(self, prompt_bytes: int, max_tokens: int) -> Truth:
        made = self.bench.job(
            self.model, UNITS, registered=3, items=ITEMS, prompt_bytes=prompt_bytes, max_tokens=max_tokens
        )
        return Truth(made, prompt_bytes * PRICE[0] + max_tokens * PRICE[1])

    def named(self, worker: str) -> str:
        """The worker's name in the ledger, which the machine's other runs share."""
        self.workers.add(f"{self.bench.name}-{worker}")
        return f"{self.bench.name}-{worker}"

    def teardown(self) -> None:
        self.bench.__exit__(None, None, None)

    def charged(self, job: Truth) -> int:
        return job.spent + sum(a.reserved for a in [*self.live, *self.unknown] if a.job is job)

    def reserved(self, job: Truth) -> int:
        return sum(a.reserved for a in self.live if a.job is job)

    # Workers

    def expected(self, job: Truth, unit: int) -> Drop | Wait | None:
        """What admission of an example that nobody holds should answer; None is a grant."""
        if unit not in job.todo:
            return Drop("settled")
        if any(a.job is job and a.unit == unit for a in self.live):
            return Drop("leased")
        if job.state != "running":
            return Drop(job.state)
        if job.lost.get(unit, 0) >= 3:
            return Drop("poison")
        if self.paused:
            return Wait(0, "pause")
        if self.concurrent is not None and len(self.live) >= self.concurrent:
            return Wait(0, "concurrent")
        if job.budget is not None and self.charged(job) + job.worst > job.budget:
            if self.reserved(job):
                return Wait(0, "budget")
            job.state = "budget"
            return Drop("budget")
        return None

    def ask(self, job: Truth, unit: int, worker: str, token: str) -> None:
        expected = self.expected(job, unit)
        reply = job.real.admit(unit, token, worker)
        if isinstance(expected, Wait):
            assert isinstance(reply, Wait)
            assert reply.binds == expected.binds
        elif expected is not None:
            assert reply == expected
        else:
            assert isinstance(reply, Grant), reply
            job.tries[unit] = job.tries.get(unit, 0) + 1
            assert reply.attempt == job.tries[unit]
            self.live.append(Attempt(job, unit, worker, token, job.worst, reply.attempt))

    @rule(which=st.integers(0, 1), unit=st.integers(0, UNITS - 1), worker=workers)
    def admit(self, which: int, unit: int, worker: str) -> None:
        self.ask(self.jobs[which], unit, self.named(worker), f"t{next(self.tokens)}")

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def admit_again(self, data: st.DataObject) -> None:
        """The answer was lost on the way."""
        lease = data.draw(st.sampled_from(self.live))
        reply = lease.job.real.admit(lease.unit, lease.token, lease.worker)
        assert isinstance(reply, Grant)
        assert reply.attempt == lease.number

    @precondition(lambda self: self.reaped)
    @rule(data=st.data())
    def admit_again_after_the_lease_was_taken_back(self, data: st.DataObject) -> None:
        """The answer was lost, and the worker taken for dead before it could ask again: it made no call."""
        lease = data.draw(st.sampled_from(self.reaped))
        self.reaped.remove(lease)
        self.unknown.remove(lease)
        self.ask(lease.job, lease.unit, lease.worker, lease.token)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), outcome=outcomes, share=shares, known=st.booleans(), one=st.booleans())
    def settle(self, data: st.DataObject, outcome: Outcome, share: float, known: bool, one: bool) -> None:
        lease = data.draw(st.sampled_from(self.live))
        cost = round(share * lease.reserved) if known else None
        self.live.remove(lease)
        if cost is None:
            self.unknown.append(lease)
        self.end(lease, outcome, cost, split=one)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def meet_a_429(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.live))
        self.live.remove(lease)
        self.paused = True
        self.end(lease, "again", 0, split=False, retry_after_ms=3_600_000)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def meet_an_error_that_stops_the_job(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.live))
        self.live.remove(lease)
        if lease.job.state == "running":
            lease.job.state = "stopped"
        self.end(lease, "again", 0, split=False, stop="stopped")

    def end(self, lease: Attempt, outcome: Outcome, cost: int | None, split: bool, **more: Any) -> None:
        """Settles an attempt that counts, and checks the answer."""
        job, unit = lease.job, lease.unit
        figures: dict[str, Any] = {"outcome": outcome, "cost": cost, "reason": "why", **more}
        if outcome == "accepted" and split:
            figures |= {"accepted": 1, "rejected": ITEMS - 1}
        job.attempts += 1
        job.spent += cost or 0
        counts = unit in job.todo and outcome != "again"
        if counts:
            self.store(job, unit, outcome, ITEMS - 1 if split else 0)
        elif outcome != "again":
            job.duplicates += 1
            job.duplicate_spent += cost or 0
        reply = job.real.settle(unit, lease.token, lease.worker, **figures)
        assert reply == ("settled" if counts or outcome == "again" else "duplicate")
        self.ended.append((lease, figures))

    def store(self, job: Truth, unit: int, outcome: str, among: int) -> None:
        job.todo.remove(unit)
        job.tries.pop(unit, None)
        job.lost.pop(unit, None)
        job.settled[unit] = job.settled.get(unit, 0) + 1
        if outcome == "rejected":
            job.rejected += ITEMS
            job.rejected_units[unit] = ITEMS
        else:
            job.accepted += ITEMS - among
            job.rejected += among
        job.finish()

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        """The answer was lost on the way, or a journal is replayed."""
        lease, figures = data.draw(st.sampled_from(self.ended))
        assert lease.job.real.settle(lease.unit, lease.token, lease.worker, **figures) == "repeat"

    @precondition(lambda self: self.reaped)
    @rule(data=st.data(), outcome=outcomes, share=shares, known=st.booleans(), worker=workers)
    def settle_late(self, data: st.DataObject, outcome: Outcome, share: float, known: bool, worker: str) -> None:
        """A worker that was taken for dead answers, or whoever replays its journal."""
        lease = data.draw(st.sampled_from(self.reaped))
        lease.worker = self.named(worker)
        if not known:
            assert lease.job.real.settle(lease.unit, lease.token, lease.worker, outcome=outcome, cost=None) == "repeat"
            return
        self.reaped.remove(lease)
        self.unknown.remove(lease)
        self.end(lease, outcome, round(share * lease.reserved), split=False)

    @rule(which=st.integers(0, 1), unit=st.integers(0, UNITS - 1), worker=workers)
    def give_up_poison(self, which: int, unit: int, worker: str) -> None:
        """What a worker does when admission says poison; where a twin was faster it changes nothing."""
        job = self.jobs[which]
        if job.lost.get(unit, 0) < 3:
            return
        leased = any(a.job is job and a.unit == unit for a in self.live)
        token = f"t{next(self.tokens)}"
        figures = {"outcome": "rejected", "reason": "poison", "cost": 0}
        if not leased:
            job.attempts += 1
            self.store(job, unit, "rejected", 0)
        reply = job.real.settle(unit, token, self.named(worker), **figures)
        assert reply == ("repeat" if leased else "settled")
        assert job.real.settle(unit, token, self.named(worker), **figures) == "repeat"

    @rule(worker=workers)
    def die(self, worker: str) -> None:
        gone = [a for a in self.live if a.worker == self.named(worker)]
        named = fleet.reap(self.bench.redis, self.named(worker), now=True)
        assert sorted(named) == sorted((a.job.real.id, a.unit) for a in gone)
        for lease in gone:
            self.live.remove(lease)
            self.unknown.append(lease)
            self.reaped.append(lease)
            lease.job.attempts += 1
            lease.job.lost[lease.unit] = lease.job.lost.get(lease.unit, 0) + 1

    # People and producers

    @rule(which=st.integers(0, 1), state=st.sampled_from(["running", "running", "paused", "cancelled"]))
    def set_state(self, which: int, state: jobs.State) -> None:
        job = self.jobs[which]
        jobs.set_state(self.bench.redis, job.real.id, state)
        if job.state != "complete":
            job.state = state
            job.finish()

    @rule(which=st.integers(0, 1), calls=st.none() | st.integers(0, 8), odd=st.integers(-1, 1))
    def set_budget(self, which: int, calls: int | None, odd: int) -> None:
        """Around a whole number of worst cases, where a mistake by one shows."""
        job = self.jobs[which]
        job.budget = None if calls is None else max(1, calls * job.worst + odd)
        job.bound = None if job.budget is None else max(job.budget, self.charged(job))
        jobs.set_budget(self.bench.redis, job.real.id, job.budget)

    @rule(concurrent=st.none() | st.integers(1, 4))
    def set_concurrency(self, concurrent: int | None) -> None:
        self.concurrent = concurrent
        limits.change(self.bench.redis, self.model.name, {"concurrent_requests": concurrent})

    @precondition(lambda self: self.paused)
    @rule()
    def the_pause_ends(self) -> None:
        self.bench.passed(self.model, 3600)
        self.paused = False

    @rule(which=st.integers(0, 1))
    def register(self, which: int) -> None:
        job = self.jobs[which]
        if job.registered < UNITS:
            job.real.register(1)
            job.todo.add(job.registered)
            job.registered += 1

    @rule(which=st.integers(0, 1))
    def retry(self, which: int) -> None:
        job = self.jobs[which]
        tasks = list(jobs.rejected(self.bench.redis, job.real.id))
        assert sorted(jobs.reopen(self.bench.redis, job.real.id, tasks)) == sorted(job.rejected_units)
        assert jobs.reopen(self.bench.redis, job.real.id, tasks) == []
        for unit, count in job.rejected_units.items():
            job.todo.add(unit)
            job.rejected -= count
            job.state = "running"
        job.rejected_units.clear()

    # What holds after every step

    @invariant()
    def slots_are_those_of_live_leases(self) -> None:
        assert limits.use(self.bench.redis, self.model.name).in_flight == len(self.live)
        for job in self.jobs:
            leases = job.real.part("leases")
            mine = {str(a.unit): a for a in self.live if a.job is job}
            assert leases.keys() == mine.keys()
            for unit, lease in mine.items():
                token, worker, _, reserved, *_ = leases[unit].split(" ")
                assert (token, worker, int(reserved)) == (lease.token, lease.worker, lease.reserved)

    @invariant()
    def money_is_where_it_should_be(self) -> None:
        for job in self.jobs:
            unknown = {a.token: a.reserved for a in self.unknown if a.job is job}
            assert {token: int(kept) for token, kept in job.real.part("unknown").items()} == unknown
            money = job.real.money()
            assert money == (job.spent, self.reserved(job), sum(unknown.values()))
            assert min(money) >= 0
            assert job.bound is None or sum(money) <= job.bound

    @invariant()
    def examples_add_up(self) -> None:
        for job in self.jobs:
            status = job.real.status()
            assert (status.accepted, status.rejected) == (job.accepted, job.rejected)
            assert status.attempts == job.attempts
            assert (status.duplicates, round(status.duplicate_cost_usd * 1e9)) == (job.duplicates, job.duplicate_spent)
            todo = job.real.part("todo")
            assert {int(unit) for unit in todo} == job.todo
            assert status.accepted + status.rejected + ITEMS * len(todo) == ITEMS * job.registered
            assert status.enqueued == job.registered
            assert all(count > 0 for count in status.reasons.values())

    @invariant()
    def states_are_as_they_should_be(self) -> None:
        for job in self.jobs:
            assert job.real.status().state == job.state
            done = job.registered == UNITS and not job.todo
            assert (job.state == "complete") == (done and job.state != "cancelled")

    @invariant()
    def every_settled_example_is_stored_once(self) -> None:
        for job in self.jobs:
            entries = job.real.results()
            assert len(entries) == job.attempts
            stored: dict[int, int] = {}
            for _, examples in entries:
                for example in json.loads(examples):
                    stored[example["index"]] = stored.get(example["index"], 0) + 1
            expected = {unit * ITEMS + k: times for unit, times in job.settled.items() for k in range(ITEMS)}
            assert stored == expected

    @invariant()
    def nothing_is_left_over(self) -> None:
        for job in self.jobs:
            assert {int(unit) for unit in job.real.part("tries")} <= job.todo
            assert {int(unit): int(n) for unit, n in job.real.part("lost").items()} == job.lost
            assert {int(unit) for unit in job.real.part("rejected")} == set(job.rejected_units)
            raw = self.bench.redis.hgetall(keys.job(job.real.id))
            assert all(int(value) >= 0 for value in raw.values() if value.lstrip(b"-").isdigit())
        for worker in self.workers:
            held = {member.decode() for member in self.bench.redis.smembers(keys.worker(worker, "leases"))}
            assert {f"{a.job.real.id} {a.unit}" for a in self.live if a.worker == worker} <= held


def test_the_ledger_is_what_its_model_says(each_server: Any, each_redis_client: Any, no_settings: None) -> None:
    """Whatever workers, people and accidents do in any order, leases, money, examples and states stay true."""
    run_state_machine_as_test(
        lambda: Ledger(each_server.url, each_redis_client),
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
