"""The ledger against a model of it in plain Python, under every mixture of what workers and people do."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Literal

import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from ledger_bench import Bench, Job

from ledger import fleet, jobs, keys, limits
from ledger.leases import Drop, Grant, Wait

UNITS, ITEMS = 4, 2
PRICE = (3, 11)
Outcome = Literal["accepted", "rejected", "again"]

outcomes = st.sampled_from(["accepted", "rejected", "again"])
workers = st.sampled_from(["a", "b", "c"])
shares = st.floats(0, 1)


@dataclass(repr=False)
class Attempt:
    """One token: whose it is, what for, and what was reserved for it."""

    job: Truth
    unit: int
    worker: str
    token: str
    reserved: int
    number: int

    def __repr__(self) -> str:
        return f"{self.token} of {self.worker} for {self.job.real.id} {self.unit}"


@dataclass(repr=False)
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

    def __repr__(self) -> str:
        return self.real.id

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
        held = any(a.job is job and a.unit == unit for a in self.live)
        short = job.budget is not None and self.charged(job) + job.worst > job.budget
        answers: list[tuple[bool, Drop | Wait]] = [
            (unit not in job.todo, Drop("settled")),
            (held, Drop("leased")),
            (job.state != "running", Drop(job.state)),
            (job.lost.get(unit, 0) >= 3, Drop("poison")),
            (self.paused, Wait(0, "pause")),
            (self.concurrent is not None and len(self.live) >= self.concurrent, Wait(0, "concurrent")),
            (short and self.reserved(job) > 0, Wait(0, "budget")),
            (short, Drop("budget")),
        ]
        return next((answer for holds, answer in answers if holds), None)

    def ask(self, job: Truth, unit: int, worker: str, token: str) -> None:
        expected = self.expected(job, unit)
        reply = job.real.admit(unit, token, worker)
        if isinstance(expected, Wait):
            assert isinstance(reply, Wait)
            assert reply.binds == expected.binds
        elif expected is not None:
            assert reply == expected
            if expected == Drop("budget"):
                job.state = "budget"
        else:
            assert isinstance(reply, Grant), reply
            job.tries[unit] = job.tries.get(unit, 0) + 1
            assert reply.attempt == job.tries[unit]
            self.live.append(Attempt(job, unit, worker, token, job.worst, reply.attempt))

    @rule(which=st.integers(0, 1), unit=st.integers(0, UNITS - 1), worker=workers)
    def admit(self, which: int, unit: int, worker: str) -> None:
        self.ask(self.jobs[which], unit, self.named(worker), f"t{next(self.tokens)}")

    @precondition(lambda self: self.open())
    @rule(data=st.data(), count=st.integers(1, 4), worker=workers)
    def admit_what_is_open(self, data: st.DataObject, count: int, worker: str) -> None:
        for _ in range(count):
            if possible := self.open():
                job, unit = data.draw(st.sampled_from(possible))
                self.ask(job, unit, self.named(worker), f"t{next(self.tokens)}")

    def open(self) -> list[tuple[Truth, int]]:
        held = {(a.job.real.id, a.unit) for a in self.live}
        return [(job, unit) for job in self.jobs for unit in sorted(job.todo) if (job.real.id, unit) not in held]

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
    @rule(data=st.data(), count=st.integers(1, 4), outcome=outcomes, share=shares, split=st.booleans())
    def settle(self, data: st.DataObject, count: int, outcome: Outcome, share: float, split: bool) -> None:
        for _ in range(min(count, len(self.live))):
            lease = data.draw(st.sampled_from(self.live))
            self.live.remove(lease)
            self.end(lease, outcome, round(share * lease.reserved), split)

    @rule(which=st.integers(0, 1), worker=workers)
    def work_off_what_is_open(self, which: int, worker: str) -> None:
        for job, unit in self.open():
            if job is self.jobs[which]:
                self.ask(job, unit, self.named(worker), f"t{next(self.tokens)}")
        for lease in [a for a in self.live if a.job is self.jobs[which]]:
            self.live.remove(lease)
            self.end(lease, "accepted", lease.reserved)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), outcome=st.sampled_from(["rejected", "again"]))
    def settle_without_an_answer(self, data: st.DataObject, outcome: Outcome) -> None:
        lease = data.draw(st.sampled_from(self.live))
        self.live.remove(lease)
        self.unknown.append(lease)
        self.end(lease, outcome, None)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), stops=st.booleans())
    def meet_a_429_or_an_error_that_stops_the_job(self, data: st.DataObject, stops: bool) -> None:
        lease = data.draw(st.sampled_from(self.live))
        self.live.remove(lease)
        if not stops:
            self.paused = True
            self.end(lease, "again", 0, retry_after_ms=3_600_000)
            return
        if lease.job.state == "running":
            lease.job.state = "stopped"
        self.end(lease, "again", 0, stop="stopped")

    def end(self, lease: Attempt, outcome: Outcome, cost: int | None, split: bool = False, **more: Any) -> None:
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
        self.end(lease, outcome, round(share * lease.reserved))

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

    @precondition(lambda self: self.open())
    @rule(data=st.data(), times=st.integers(1, 3), worker=workers)
    def kill_whoever_takes_it(self, data: st.DataObject, times: int, worker: str) -> None:
        job, unit = data.draw(st.sampled_from(self.open()))
        for _ in range(times):
            self.ask(job, unit, self.named(worker), f"t{next(self.tokens)}")
            self.die(worker)

    @precondition(lambda self: any(count >= 3 for job in self.jobs for count in job.lost.values()))
    @rule(data=st.data(), worker=workers)
    def give_up_poison(self, data: st.DataObject, worker: str) -> None:
        """What a worker does when admission says poison; where someone holds the example it changes nothing."""
        deadly = [(job, unit) for job in self.jobs for unit, count in job.lost.items() if count >= 3]
        job, unit = data.draw(st.sampled_from(deadly))
        token = f"t{next(self.tokens)}"
        leased = any(a.job is job and a.unit == unit for a in self.live)
        if not leased:
            job.attempts += 1
            self.store(job, unit, "rejected", 0)
        for answer in ("repeat" if leased else "settled", "repeat"):
            reply = job.real.settle(unit, token, self.named(worker), outcome="rejected", reason="poison", cost=0)
            assert reply == answer

    # People and producers

    @rule(which=st.integers(0, 1), state=st.sampled_from(["running", "running", "running", "paused", "cancelled"]))
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
    def all_is_as_it_should_be(self) -> None:
        client = self.bench.redis
        assert limits.use(client, self.model.name).in_flight == len(self.live)
        for job in self.jobs:
            reading = Reading.of(client, job.real.id)
            self.leases_are_those_of_calls_in_flight(job, reading)
            self.money_is_where_it_should_be(job, reading)
            self.examples_add_up(job, reading)
            self.every_settled_example_is_stored_once(job, reading)
            done = job.registered == UNITS and not job.todo
            assert reading.job["state"] == job.state
            assert (job.state == "complete") == (done and job.state != "cancelled")
            assert not [name for name, value in reading.job.items() if value.startswith("-")]

    def leases_are_those_of_calls_in_flight(self, job: Truth, reading: Reading) -> None:
        found = {unit: lease.split(" ") for unit, lease in reading.leases.items()}
        held = {unit: (token, worker, int(reserved)) for unit, (token, worker, _, reserved, *_) in found.items()}
        assert held == {str(a.unit): (a.token, a.worker, a.reserved) for a in self.live if a.job is job}

    def money_is_where_it_should_be(self, job: Truth, reading: Reading) -> None:
        unknown = {a.token: a.reserved for a in self.unknown if a.job is job}
        assert {token: int(kept) for token, kept in reading.unknown.items()} == unknown
        assert reading.count("spent") == job.spent
        assert reading.count("reserved") == self.reserved(job)
        assert reading.count("unknown") == sum(unknown.values())
        assert job.bound is None or self.charged(job) <= job.bound

    def examples_add_up(self, job: Truth, reading: Reading) -> None:
        assert {int(unit) for unit in reading.todo} == job.todo
        assert {int(unit) for unit in reading.rejected} == set(job.rejected_units)
        assert {int(unit): int(n) for unit, n in reading.lost.items()} == job.lost
        assert {int(unit): int(n) for unit, n in reading.tries.items()} == job.tries
        counts = [reading.count(name) for name in ("accepted", "rejected", "attempts", "cursor")]
        assert counts == [job.accepted, job.rejected, job.attempts, job.registered]
        assert job.accepted + job.rejected + ITEMS * len(job.todo) == ITEMS * job.registered
        duplicates = (reading.count("duplicates"), reading.count("duplicate_spent"))
        assert duplicates == (job.duplicates, job.duplicate_spent)
        assert all(int(count) >= 0 for count in reading.reasons.values())
        rejected = sum(int(count) for reason, count in reading.reasons.items() if reason.startswith("rejected:"))
        assert rejected == job.rejected

    def every_settled_example_is_stored_once(self, job: Truth, reading: Reading) -> None:
        """Once each time that it was settled: again only after it was rejected and tried again."""
        assert len(reading.results) == job.attempts
        stored = [example["index"] for examples in reading.results for example in json.loads(examples)]
        expected = [unit * ITEMS + k for unit, times in job.settled.items() for k in range(ITEMS) for _ in range(times)]
        assert sorted(stored) == sorted(expected)


@dataclass(frozen=True)
class Reading:
    """All that the ledger keeps of a job, read in one go."""

    job: dict[str, str]
    todo: dict[str, str]
    leases: dict[str, str]
    tries: dict[str, str]
    lost: dict[str, str]
    unknown: dict[str, str]
    rejected: dict[str, str]
    reasons: dict[str, str]
    results: list[str]

    @classmethod
    def of(cls, client: Any, job: str) -> Reading:
        parts = [part.name for part in fields(cls)][1:-1]
        with client.pipeline() as pipe:
            for name in [keys.job(job), *(keys.job(job, part) for part in parts)]:
                pipe.hgetall(name)
            pipe.xrange(keys.job(job, "results"))
            *hashes, entries = pipe.execute()
        texts: list[Any] = [{k.decode(): v.decode() for k, v in one.items()} for one in hashes]
        texts.append([entry[b"examples"].decode() for _, entry in entries])
        return cls(*texts)

    def count(self, name: str) -> int:
        return int(self.job.get(name, 0))


def test_the_ledger_is_what_its_model_says(each_server: Any, each_redis_client: Any, no_settings: None) -> None:
    """Whatever workers, people and accidents do in any order, leases, money, examples and states stay true."""
    # It takes any maker of machines, though it is typed to take a class.
    machine: Any = partial(Ledger, each_server.url, each_redis_client)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=50,
            stateful_step_count=50,
            deadline=None,
            report_multiple_bugs=False,
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
