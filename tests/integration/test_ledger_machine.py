"""The ledger against a model of it in plain Python, under every mixture of what workers and people do."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Literal

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger_bench import ADMIT, MICROSECONDS, Bench, Job
from ledger_model import Call, Flow, Request, Share, Turn

from ledger import budget, fleet, jobs, keys, limits, todo
from ledger.budget import Books
from ledger.leases import Drop, Grant, Wait

UNITS, ITEMS = 4, 2
PRICE = (3, 11)
DAY = 86_400 * MICROSECONDS
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
    call: Call
    most: int
    day: int = 0
    """On which its cost became unknown."""

    def __repr__(self) -> str:
        return f"{self.token} of {self.worker} for {self.job.real.id} {self.unit}"


@dataclass(repr=False)
class Truth:
    """What a job should be."""

    real: Job
    max_tokens: int
    share: Share = field(default_factory=Share)
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

    def worst(self, most: int | None = None) -> int:
        """What a call of so many tokens, or the largest, can cost."""
        return self.real.prompt_bytes * PRICE[0] + (self.max_tokens if most is None else most) * PRICE[1]

    def finish(self) -> None:
        """All settled is complete, unless a person has cancelled."""
        if self.state != "cancelled" and self.registered == UNITS and not self.todo:
            self.state = "complete"


class Ledger(RuleBasedStateMachine):
    """Two jobs of one model, three workers. Time passes only where a rule says so."""

    def __init__(self, url: str, client: redis.Redis) -> None:
        super().__init__()
        # The machine's other runs have left their books and their workers.
        client.flushdb()
        self.bench = Bench(url, client).__enter__()
        self.flow = Flow()
        self.tokens = itertools.count()
        self.live: list[Attempt] = []
        self.unknown: list[Attempt] = []
        self.reaped: list[Attempt] = []
        self.ended: list[tuple[Attempt, dict[str, Any]]] = []
        self.alone: dict[str, tuple[tuple[str, int], int]] = {}
        """By worker, the example that has its last try there, and until when nothing runs beside it."""
        self.per_day: int | None = None
        self.spent_on: Counter[int] = Counter()

    @initialize(counting=st.sampled_from(["actual", "actual", "reserved"]))
    def begin(self, counting: Literal["actual", "reserved"]) -> None:
        self.counting = counting
        self.model = self.bench.model(price=PRICE, counting=counting)
        self.jobs = [self.make(prompt_bytes=10, max_tokens=20), self.make(prompt_bytes=7, max_tokens=50)]

    def make(self, prompt_bytes: int, max_tokens: int) -> Truth:
        made = self.bench.job(
            self.model, UNITS, registered=3, items=ITEMS, prompt_bytes=prompt_bytes, max_tokens=max_tokens
        )
        return Truth(made, max_tokens)

    def teardown(self) -> None:
        self.bench.__exit__(None, None, None)

    @property
    def now(self) -> int:
        return self.bench.at

    @property
    def today(self) -> int:
        return self.now // DAY

    def charged(self, job: Truth) -> int:
        return job.spent + sum(a.reserved for a in [*self.live, *self.unknown] if a.job is job)

    def reserved(self, job: Truth | None = None) -> int:
        return sum(a.reserved for a in self.live if job is None or a.job is job)

    def books(self) -> Books:
        """The fleet's, of today."""
        unknown = sum(a.reserved for a in self.unknown if a.day == self.today)
        return Books(self.per_day, self.spent_on[self.today], self.reserved(), unknown)

    # Workers

    def estimate(self, job: Truth, unit: int, worker: str) -> tuple[Request, int]:
        """What a call is expected to use by what the ledger has learned, and the tokens that it may use at most."""
        learned = self.bench.redis.hgetall(keys.learned(self.model.name, "quiz"))
        means = {name.decode(): float(value) for name, value in learned.items()}
        most, reserves = job.max_tokens, self.counting == "reserved"
        if reserves and "p99" in means and unit not in job.tries:
            most = min(most, math.ceil(ADMIT["MARGIN"] * means["p99"]))
        completion = float(most) if reserves else min(most, means.get("completion", most / 4))
        expected = math.ceil(job.real.prompt_bytes * means.get("ratio", ADMIT["COLD_RATIO"]) + completion)
        variance = 0 if reserves else math.floor(means.get("variance", (completion / 2) ** 2))
        return Request(f"{worker} {job.real.id}", job.real.id, job.share, expected, variance), most

    def no_call(self, job: Truth, unit: int) -> Drop | None:
        """Why an example that is asked for by a new token is none for the limits."""
        answers = [
            (unit not in job.todo, "settled"),
            (any(a.job is job and a.unit == unit for a in self.live), "leased"),
            (job.state != "running", job.state),
            (job.lost.get(unit, 0) >= 3, "poison"),
        ]
        return next((Drop(why) for holds, why in answers if holds), None)

    def kept_free(self, job: Truth, unit: int, worker: str) -> Wait | None:
        """What admission says to whoever would run beside an example's last try; None where there is none."""
        this, poll = (job.real.id, unit), int(ADMIT["POLL"])
        whose, until = self.alone.get(worker, (this, 0))
        if whose != this and until > self.now:
            return Wait(poll, "alone")
        if job.lost.get(unit, 0) == 2:
            self.alone[worker] = (this, self.now + 10 * poll * 1000)
            if any(a.worker == worker for a in self.live):
                return Wait(poll, "alone")
        return None

    def let_go(self, lease: Attempt) -> None:
        """A lease has ended."""
        self.live.remove(lease)
        if self.alone.get(lease.worker, (None, 0))[0] == (lease.job.real.id, lease.unit):
            del self.alone[lease.worker]

    def without_money(self, job: Truth, worst: int) -> Drop | Wait | None:
        """What admission says for want of money; None where there is enough."""
        books = self.books()
        over_job = job.budget is not None and self.charged(job) + worst > job.budget
        over_fleet = books.per_day is not None and books.spent + books.unknown + books.reserved + worst > books.per_day
        if not over_job and not over_fleet:
            return None
        if (self.reserved(job) > 0 or not over_job) and (books.reserved > 0 or not over_fleet):
            return Wait(100, "budget")
        job.state = "budget"
        return Drop("budget")

    def ask(self, job: Truth, unit: int, worker: str, token: str, *, more: bool = False) -> Grant | Wait | Drop:
        """Asks once and checks the answer."""
        reply = job.real.admit(unit, token, worker, more=more)
        if (drop := self.no_call(job, unit)) is not None:
            assert reply == drop
            return reply
        if (wait := self.kept_free(job, unit, worker)) is not None:
            assert reply == wait
            return reply
        request, most = self.estimate(job, unit, worker)
        turn = self.flow.ask(request, self.now)
        if isinstance(turn, Wait):
            assert_waits(reply, turn)
            return reply
        worst = job.worst(most)
        if (answer := self.without_money(job, worst)) is not None:
            self.flow.leave(request, turn)
            assert reply == answer
            return reply
        assert isinstance(reply, Grant), reply
        self.take(job, unit, worker, token, reply, request, turn, more=more)
        assert (reply.expected_tokens, reply.max_tokens) == (request.expected, most)
        assert reply.most_nano_usd == PRICE
        return reply

    def take(
        self, job: Truth, unit: int, worker: str, token: str, grant: Grant, request: Request, turn: Turn, *, more: bool
    ) -> None:
        call, then = self.flow.take(request, turn, self.now, more=more)
        if then is None:
            assert grant.then is None
        else:
            assert_waits(grant.then, then)
        if job.lost.get(unit, 0) == 2:
            self.alone[worker] = ((job.real.id, unit), self.now + int(ADMIT["ALONE"]) * 1000)
        job.tries[unit] = job.tries.get(unit, 0) + 1
        assert grant.attempt == job.tries[unit]
        worst = job.worst(grant.max_tokens)
        self.live.append(Attempt(job, unit, worker, token, worst, grant.attempt, call, grant.max_tokens))

    @rule(which=st.integers(0, 1), unit=st.integers(0, UNITS - 1), worker=workers, more=st.booleans())
    def admit(self, which: int, unit: int, worker: str, more: bool) -> None:
        self.ask(self.jobs[which], unit, worker, f"t{next(self.tokens)}", more=more)

    @precondition(lambda self: self.open())
    @rule(data=st.data(), count=st.integers(1, 4), worker=workers, more=st.booleans())
    def admit_what_is_open(self, data: st.DataObject, count: int, worker: str, more: bool) -> None:
        for _ in range(count):
            if possible := self.open():
                job, unit = data.draw(st.sampled_from(possible))
                self.ask(job, unit, worker, f"t{next(self.tokens)}", more=more)

    @precondition(lambda self: self.open())
    @rule(data=st.data(), worker=workers, more=st.booleans())
    def wait_as_told_and_ask_again(self, data: st.DataObject, worker: str, more: bool) -> None:
        """Comes to an end where time alone is what it takes."""
        job, unit = data.draw(st.sampled_from(self.open()))
        token = f"t{next(self.tokens)}"
        for _ in range(12):
            reply = self.ask(job, unit, worker, token, more=more)
            if not isinstance(reply, Wait) or reply.ends_with_settlement:
                break
            self.bench.advance(reply.milliseconds / 1000)

    @precondition(lambda self: self.open() and (self.flow.rpm or self.flow.tpm))
    @rule(data=st.data(), worker=workers, more=st.booleans(), seconds=st.sampled_from([0, 1.7, 40]), used=shares)
    def use_the_limit_up(self, data: st.DataObject, worker: str, more: bool, seconds: float, used: float) -> None:
        """Calls one after the other, each made as soon as it may be, that all have to be made again."""
        job, unit = data.draw(st.sampled_from(self.open()))
        for _ in range(25):
            reply = self.ask(job, unit, worker, f"t{next(self.tokens)}", more=more)
            if isinstance(reply, Wait) and not reply.ends_with_settlement:
                self.bench.advance(reply.milliseconds / 1000)
            elif isinstance(reply, Grant):
                lease = self.live[-1]
                self.let_go(lease)
                self.bench.advance(seconds)
                completion = 1 + round(used * (lease.most - 1))
                counted = lease.most if self.counting == "reserved" else completion
                self.flow.end(lease.call, 2 + counted)
                self.end(lease, "again", 1, prompt_tokens=2, completion_tokens=completion)
            else:
                break

    def open(self) -> list[tuple[Truth, int]]:
        held = {(a.job.real.id, a.unit) for a in self.live}
        return [(job, unit) for job in self.jobs for unit in sorted(job.todo) if (job.real.id, unit) not in held]

    @precondition(lambda self: self.live)
    @rule(data=st.data(), more=st.booleans())
    def admit_again(self, data: st.DataObject, more: bool) -> None:
        """The answer was lost on the way; where the example has been settled since, the lease ends without a call."""
        lease = data.draw(st.sampled_from(self.live))
        reply = lease.job.real.admit(lease.unit, lease.token, lease.worker, more=more)
        if lease.unit not in lease.job.todo:
            assert reply == Drop("settled")
            self.let_go(lease)
            self.flow.lost(lease.call)
            return
        assert isinstance(reply, Grant)
        assert (reply.attempt, reply.expected_tokens, reply.then) == (lease.number, lease.call.expected, None)

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
            prompt, completion = data.draw(st.integers(0, 8)), data.draw(st.integers(0, lease.most))
            self.let_go(lease)
            counted = lease.most if self.counting == "reserved" else completion
            self.flow.end(lease.call, prompt + counted if completion else None)
            self.end(
                lease,
                outcome,
                round(share * lease.reserved),
                split,
                prompt_tokens=prompt,
                completion_tokens=completion,
            )

    @rule(which=st.integers(0, 1), worker=workers)
    def work_off_what_is_open(self, which: int, worker: str) -> None:
        for job, unit in self.open():
            if job is self.jobs[which]:
                self.ask(job, unit, worker, f"t{next(self.tokens)}")
        for lease in [a for a in self.live if a.job is self.jobs[which]]:
            self.let_go(lease)
            self.flow.end(lease.call, None)
            self.end(lease, "accepted", lease.reserved)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), outcome=st.sampled_from(["rejected", "again"]))
    def settle_without_an_answer(self, data: st.DataObject, outcome: Outcome) -> None:
        lease = data.draw(st.sampled_from(self.live))
        self.let_go(lease)
        self.unknown.append(lease)
        lease.day = self.today
        self.flow.end(lease.call, None)
        self.end(lease, outcome, None)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), told=st.sampled_from([0, 0, 700, 90_000]))
    def meet_a_429(self, data: st.DataObject, told: int) -> None:
        lease = data.draw(st.sampled_from(self.live))
        self.let_go(lease)
        self.flow.refused(lease.call, told, self.now)
        self.end(lease, "again", 0, retry_after_ms=told)
        self.learn()

    def learn(self) -> None:
        """What a refusal teaches is tested elsewhere: here it is believed."""
        names = ("cut", "factor", "since", "guess_rpm", "top", "idle")
        cut, factor, since, guess, top, idle = self.bench.redis.hmget(keys.model(self.model.name), names)
        flow = self.flow
        flow.cut, flow.since = None if cut is None else int(cut), int(since or 0)
        flow.factor, flow.guess = float(factor or 1), None if guess is None else float(guess)
        flow.top, flow.idle = float(top or 0), int(idle or 0)
        flow.last_share = limits.use(self.bench.redis, self.model.name).share
        assert 0 < flow.factor <= 1 or flow.guess is not None

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def meet_an_error_that_stops_the_job(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.live))
        self.let_go(lease)
        self.flow.end(lease.call, None)
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
        self.spent_on[self.today] += cost or 0
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
        lease.worker = worker
        if not known:
            assert lease.job.real.settle(lease.unit, lease.token, lease.worker, outcome=outcome, cost=None) == "repeat"
            return
        self.reaped.remove(lease)
        self.unknown.remove(lease)
        self.end(lease, outcome, round(share * lease.reserved))

    @rule(worker=workers)
    def die(self, worker: str) -> None:
        gone = [a for a in self.live if a.worker == worker]
        named = fleet.reap(self.bench.redis, worker, now=True)
        self.alone.pop(worker, None)
        assert sorted(named) == sorted((a.job.real.id, a.unit) for a in gone)
        for lease in gone:
            self.let_go(lease)
            self.flow.lost(lease.call)
            self.unknown.append(lease)
            self.reaped.append(lease)
            lease.day = self.today
            lease.job.attempts += 1
            lease.job.lost[lease.unit] = lease.job.lost.get(lease.unit, 0) + 1

    @precondition(lambda self: self.open())
    @rule(data=st.data(), times=st.sampled_from([1, 1, 1, 3]), worker=workers)
    def kill_whoever_takes_it(self, data: st.DataObject, times: int, worker: str) -> None:
        job, unit = data.draw(st.sampled_from(self.open()))
        for _ in range(times):
            self.ask(job, unit, worker, f"t{next(self.tokens)}")
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
            assert job.real.settle(unit, token, worker, outcome="rejected", reason="poison", cost=0) == answer

    # People and producers

    @rule(which=st.integers(0, 1), state=st.sampled_from(["running"] * 5 + ["paused", "cancelled"]))
    def set_state(self, which: int, state: jobs.State) -> None:
        job = self.jobs[which]
        jobs.set_state(self.bench.redis, job.real.id, state)
        if job.state != "complete":
            job.state = state
            job.finish()

    @rule(which=st.integers(0, 1), calls=st.sampled_from([None, None, 1, 2, 3, 5, 8]), odd=st.integers(-1, 1))
    def set_budget(self, which: int, calls: int | None, odd: int) -> None:
        """Around a whole number of worst cases, where a mistake by one shows."""
        job = self.jobs[which]
        job.budget = None if calls is None else max(1, calls * job.worst() + odd)
        job.bound = None if job.budget is None else max(job.budget, self.charged(job))
        jobs.set_budget(self.bench.redis, job.real.id, job.budget)

    @rule(calls=st.sampled_from([None, None, None, 1, 3, 6, 9, 12]), odd=st.integers(-1, 1))
    def set_what_the_fleet_may_spend_in_a_day(self, calls: int | None, odd: int) -> None:
        self.per_day = None if calls is None else max(1, calls * self.jobs[0].worst() + odd)
        budget.change(self.bench.redis, self.per_day)

    @rule(which=st.integers(0, 1), weight=st.sampled_from([0.01, 1.0, 2.0, 100.0]))
    def set_weight(self, which: int, weight: float) -> None:
        job = self.jobs[which]
        self.flow.weigh(job.real.id, job.share, weight)
        jobs.set_weight(self.bench.redis, job.real.id, weight)

    @rule(
        rpm=st.sampled_from([None, None, None, 0.7, 3.0, 60.0, 1200.0]),
        tpm=st.sampled_from([None, None, None, 40.0, 500.0, 20_000.0]),
        concurrent=st.sampled_from([None, None, 1, 2, 3, 4]),
    )
    def set_limits(self, rpm: float | None, tpm: float | None, concurrent: int | None) -> None:
        self.flow.change(rpm, tpm, concurrent)
        asked = {"requests_per_minute": rpm, "tokens_per_minute": tpm, "concurrent_requests": concurrent}
        limits.change(self.bench.redis, self.model.name, asked)
        # Calls of the tenth of a second in which a limit is changed may count under the old one or the new one.
        self.bench.advance(0.1)

    @precondition(lambda self: self.flow.pause > self.now)
    @rule()
    def the_pause_ends(self) -> None:
        self.bench.advance((self.flow.pause - self.now) / MICROSECONDS)

    @rule(seconds=st.sampled_from([0.001, 0.03, 0.1, 0.5, 2.0, 10.0, 30.0, 60.0, 61.0, 3600.0, 43_200.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.advance(seconds)

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
        tasks = list(todo.rejected(self.bench.redis, job.real.id))
        assert sorted(todo.reopen(self.bench.redis, job.real.id, tasks)) == sorted(job.rejected_units)
        assert todo.reopen(self.bench.redis, job.real.id, tasks) == []
        for unit, count in job.rejected_units.items():
            job.todo.add(unit)
            job.rejected -= count
            job.state = "running"
        job.rejected_units.clear()

    # What holds after every step

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        client = self.bench.redis
        self.the_model_is_used_as_it_should_be()
        assert budget.read(client) == self.books()
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
            assert float(reading.job.get("turn", 0)) == pytest.approx(job.share.turn, abs=1e-8)

    def the_model_is_used_as_it_should_be(self) -> None:
        flow, use = self.flow, limits.use(self.bench.redis, self.model.name)
        assert use.in_flight == len(self.live) == len(flow.live)
        assert self.bench.minute(self.model) == (flow.used("r"), flow.used("t"))
        names = ("doubt", "requests", "tokens", "share", "turn", "pause")
        kept = self.bench.redis.hmget(keys.model(self.model.name), names)
        doubt, requests, tokens, share, turn, pause = (float(value or 0) for value in kept)
        assert doubt == flow.doubt
        assert requests == pytest.approx(flow.requests or 0, abs=1e-6)
        assert tokens == pytest.approx(flow.tokens or 0, abs=1e-6)
        assert share == pytest.approx(flow.last_share if kept[3] is not None else 0)
        assert turn == pytest.approx(flow.turn, abs=1e-8)
        assert pause == flow.pause
        turns = {line: place.turn for line, place in flow.places.items()}
        assert self.bench.places(self.model) == pytest.approx(turns, abs=1e-8)

    def leases_are_those_of_calls_in_flight(self, job: Truth, reading: Reading) -> None:
        found = {unit: lease.split(" ") for unit, lease in reading.leases.items()}
        held = {unit: (token, worker, int(reserved)) for unit, (token, worker, _, reserved, *_) in found.items()}
        assert held == {str(a.unit): (a.token, a.worker, a.reserved) for a in self.live if a.job is job}

    def money_is_where_it_should_be(self, job: Truth, reading: Reading) -> None:
        unknown = {a.token: (a.reserved, a.day) for a in self.unknown if a.job is job}
        assert {token: (*map(int, kept.split(" ")),) for token, kept in reading.unknown.items()} == unknown
        assert reading.count("spent") == job.spent
        assert reading.count("reserved") == self.reserved(job)
        assert reading.count("unknown") == sum(reserved for reserved, _ in unknown.values())
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


def assert_waits(reply: Any, expected: Wait) -> None:
    """To the millisecond, as the last digits of a level may round either way."""
    assert isinstance(reply, Wait), (reply, expected)
    assert reply.binds == expected.binds, (reply, expected)
    assert abs(reply.milliseconds - expected.milliseconds) <= 1, (reply, expected)


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
    """Whatever workers, people and accidents do in any order, leases, money, examples, limits and states stay true."""
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
