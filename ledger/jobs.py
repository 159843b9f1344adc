"""Jobs: what they are, how far they are, and what people do to them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from config.errors import UserError
from config.models import NANO, Model
from config.recipe import Recipe
from ledger import keys
from ledger.connection import Redis

State = Literal["running", "paused", "budget", "stopped", "cancelled", "complete"]
#: States in which nothing more happens by itself.
AT_REST: frozenset[str] = frozenset({"paused", "budget", "stopped", "cancelled", "complete"})

# Keys: job, todo. Arguments: state, note. The job may settle its last task in this moment, or have settled it at rest.
_SET_STATE = """
local job = KEYS[1]
local j = redis.call('HMGET', job, 'state', 'cursor', 'units', 'last_at')
if j[1] == 'complete' then return end
if ARGV[1] ~= 'cancelled' and j[2] and j[2] == j[3] and redis.call('HLEN', KEYS[2]) == 0 then
  redis.call('HSET', job, 'state', 'complete', 'ended_at', j[4])
else
  redis.call('HSET', job, 'state', ARGV[1])
end
if ARGV[2] == '' then redis.call('HDEL', job, 'note') else redis.call('HSET', job, 'note', ARGV[2]) end
"""
# Keys: job, todo, rejected, reasons. Arguments: unit, reason, todo item, examples in it.
_REOPEN = """
local job, unit, reason, item, count = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', KEYS[3], unit) ~= reason .. ' ' .. item then return 0 end
redis.call('HDEL', KEYS[3], unit)
redis.call('HSET', KEYS[2], unit, item)
redis.call('HINCRBY', job, 'rejected', '-' .. count)
redis.call('HINCRBY', KEYS[4], 'rejected:' .. reason, '-' .. count)
redis.call('HSET', job, 'state', 'running')
redis.call('HDEL', job, 'note', 'ended_at')
return 1
"""
# Keys: job, model, waiting. Arguments: job, weight. Turns that were taken with the old weight are as far ahead of the
# model's as that made them: with another weight they are so much nearer, or further.
_SET_WEIGHT = """
local job, model, waiting, weight = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[2])
local j = redis.call('HMGET', job, 'weight', 'turn')
local now = tonumber(redis.call('HGET', model, 'turn') or 0)
local function moved(turn) return now + math.max(0, turn - now) * tonumber(j[1] or 1) / weight end
redis.call('HSET', job, 'weight', ARGV[2])
if j[2] then redis.call('HSET', job, 'turn', string.format('%.9f', moved(tonumber(j[2])))) end
local lines = redis.call('HGETALL', waiting)
for n = 1, #lines, 2 do
  if string.match(lines[n], ' (%S+)$') == ARGV[1] then
    local turn, tokens, at = struct.unpack('>ddd', lines[n + 1])
    redis.call('HSET', waiting, lines[n], struct.pack('>ddd', moved(turn), tokens, at))
  end
end
"""


class JobNotFound(UserError):
    """No job of that id is in the ledger."""


class BeingSubmitted(UserError):
    """Another producer is enqueuing the same job."""


class Spec(BaseModel):
    """What a job is: everything that a worker needs besides the example's own variables."""

    recipes: tuple[Recipe, ...]
    model: str
    total: int
    seed: int

    @property
    def recipe_name(self) -> str:
        """The recipe's name, or those of all the job's recipes."""
        return ",".join(recipe.name for recipe in self.recipes)


class Item(BaseModel):
    """One task: `count` examples from `first` on, asked for in one call of the job's recipe number `recipe`."""

    unit: int
    recipe: int
    first: int
    count: int
    fraction: float
    variables: dict[str, Any]
    prompt_bytes: int

    def to_todo(self, recipe: Recipe) -> str:
        """As admit.lua reads it."""
        facts = {"recipe": self.recipe, "first": self.first, "count": self.count, "variables": self.variables}
        if recipe.sampling.schedule:
            facts["fraction"] = round(self.fraction, 4)
        text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
        return f"{self.prompt_bytes} {recipe.max_tokens_per_call} {recipe.name} {text}"


class Status(BaseModel):
    """One reading of a job. Money in dollars, time in seconds; `waiting` examples are neither settled nor running."""

    job: str
    recipe: str
    model: str
    state: State
    total: int
    accepted: int
    rejected: int
    waiting: int
    running: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_usd: float
    cost_nano_usd: int
    reserved_usd: float
    unknown_usd: float
    budget_usd: float | None
    seconds: float
    tasks: int
    enqueued: int
    duplicates: int
    duplicate_cost_usd: float
    uncollected: int
    reasons: dict[str, int]
    note: str | None = None

    @property
    def settled(self) -> int:
        """Examples that are accepted or rejected."""
        return self.accepted + self.rejected


@dataclass(frozen=True)
class Rejected:
    """A rejected task that can be tried again."""

    unit: int
    reason: str
    todo: str


def create(redis: Redis, job: str, spec: Spec, model: Model, dearest: list[Model], units: int) -> bool:
    """Makes the job known; False where it was already.

    `dearest` are all models that may answer: money is reserved at the highest price among them.
    """
    fields = {
        "model": model.name,
        "recipe": spec.recipe_name,
        "total": spec.total,
        "units": units,
        "cursor": 0,
        "created_at": int(time.time() * 1e6),
        "state": "running",
    }
    # In one step, and each only where it is missing: a producer may die here, and another make the same job.
    with redis.pipeline(transaction=True) as pipe:
        for name, value in fields.items():
            pipe.hsetnx(keys.job(job), name, value)
        # Prices are those of the latest submission: they may have changed since the first.
        pipe.hset(keys.job(job), mapping=_prices(dearest))
        pipe.set(keys.job(job, "spec"), spec.model_dump_json(by_alias=True), nx=True)
        pipe.zadd(keys.JOBS, {job: time.time()}, nx=True)
        return bool(pipe.execute()[0])


def _prices(models: list[Model]) -> dict[str, int]:
    """Nano-dollars per token, the highest among these models."""

    def highest(prices: list[tuple[int, int]], side: int) -> int:
        return max(price[side] for price in prices)

    worst, plain = [m.price.worst_nano_usd() for m in models], [m.price.plain_nano_usd() for m in models]
    return {
        "price_in": highest(worst, 0),
        "price_out": highest(worst, 1),
        "plain_in": highest(plain, 0),
        "plain_out": highest(plain, 1),
    }


def spec_key(job: str) -> str:
    """Where the job's spec is kept, for whoever reads it through a connection of its own."""
    return keys.job(job, "spec")


def spec(redis: Redis, job: str) -> Spec:
    """What the job is. Raises JobNotFound."""
    text = redis.get(spec_key(job))
    if text is None:
        raise JobNotFound(f'job "{job}" is not in the ledger; `genfleet status` lists those that are.')
    return Spec.model_validate_json(text)


def ids(redis: Redis) -> list[str]:
    """Every job, the newest first."""
    return [job.decode() for job in redis.zrevrange(keys.JOBS, 0, -1)]


@dataclass(frozen=True)
class Running:
    """What a worker must know of a job to take its tasks: the model, and the share of it that is the job's."""

    model: str
    weight: float


def running(redis: Redis) -> dict[str, Running]:
    """The jobs that run."""
    names = ids(redis)
    with redis.pipeline() as pipe:
        for name in names:
            pipe.hmget(keys.job(name), "state", "model", "weight")
        return {
            name: Running(model.decode(), float(weight or 1))
            for name, (state, model, weight) in zip(names, pipe.execute(), strict=True)
            if state == b"running"
        }


def find(redis: Redis, job: str | None) -> str:
    """The job of that id or of that unmistakable beginning; without one, the newest. Raises JobNotFound."""
    known = ids(redis)
    if job is None:
        if not known:
            raise JobNotFound("there is no job yet; `genfleet submit RECIPE --count N` makes one.")
        return known[0]
    matches = [name for name in known if name == job] or [name for name in known if name.startswith(job)]
    if len(matches) != 1:
        what = "is not in the ledger" if not matches else f"could be any of {', '.join(matches[:5])}"
        raise JobNotFound(f'job "{job}" {what}; `genfleet status` lists the jobs.')
    return matches[0]


def cursor(redis: Redis, job: str) -> int:
    """How many tasks of the job have been put on its list so far."""
    return int(redis.hget(keys.job(job), "cursor") or 0)


def register(redis: Redis, job: str, spec: Spec, items: list[Item]) -> None:
    """Puts tasks on the job's list and moves its cursor behind them, in one step."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.hset(
            keys.job(job, "todo"), mapping={str(item.unit): item.to_todo(spec.recipes[item.recipe]) for item in items}
        )
        pipe.hset(keys.job(job), "cursor", items[-1].unit + 1)
        pipe.execute()


def hold(redis: Redis, job: str, producer: str, seconds: int = 30) -> None:
    """Keeps other producers from enqueuing the same job for the next seconds. Raises BeingSubmitted."""
    name = keys.job(job, "producer")
    if not redis.set(name, producer, nx=True, ex=seconds):
        if redis.get(name) != producer.encode():
            raise BeingSubmitted(f'job "{job}" is being enqueued by another producer; wait for it or stop it.')
        redis.expire(name, seconds)


def let_go(redis: Redis, job: str, producer: str) -> None:
    """Lets other producers enqueue the job."""
    name = keys.job(job, "producer")
    if redis.get(name) == producer.encode():
        redis.delete(name)


def state(redis: Redis, job: str) -> State:
    """The job's state."""
    value = redis.hget(keys.job(job), "state")
    found: State = value.decode() if value else "cancelled"
    return found


def set_state(redis: Redis, job: str, state: State, note: str | None = None) -> None:
    """Gives the job a state; complete jobs keep theirs, and one whose every task is settled is complete."""
    script = redis.register_script(_SET_STATE)
    script(keys=[keys.job(job), keys.job(job, "todo")], args=[state, note or ""])


def set_weight(redis: Redis, job: str, weight: float) -> None:
    """Sets the job's share of a model that several jobs want: twice the weight is twice the calls."""
    model = redis.hget(keys.job(job), "model").decode()
    names = [keys.job(job), keys.model(model), keys.waiting(model)]
    redis.register_script(_SET_WEIGHT)(keys=names, args=[job, str(weight)])


def set_budget(redis: Redis, job: str, nano_usd: int | None) -> None:
    """Sets the most that the job may spend, in nano-dollars; None is no bound."""
    if nano_usd is None:
        redis.hdel(keys.job(job), "budget")
    else:
        redis.hset(keys.job(job), "budget", nano_usd)


def unsettled(redis: Redis, job: str) -> Iterator[int]:
    """The tasks on the job's list that no worker has a lease on."""
    leased = {int(unit) for unit in redis.hkeys(keys.job(job, "leases"))}
    for unit, _ in redis.hscan_iter(keys.job(job, "todo"), count=1000):
        if int(unit) not in leased:
            yield int(unit)


def rejected(redis: Redis, job: str, reason: str | None = None) -> Iterator[Rejected]:
    """The rejected tasks of the job, or those rejected for `reason`."""
    for unit, value in redis.hscan_iter(keys.job(job, "rejected"), count=1000):
        why, _, todo = value.decode().partition(" ")
        if reason is None or why == reason:
            yield Rejected(int(unit), why, todo)


def reopen(redis: Redis, job: str, tasks: Iterable[Rejected]) -> list[int]:
    """Puts rejected tasks back on the job's list, which runs again, and says which; not those that others put back."""
    tasks = list(tasks)
    script = redis.register_script(_REOPEN)
    names = [keys.job(job), *(keys.job(job, part) for part in ("todo", "rejected", "reasons"))]
    with redis.pipeline(transaction=True) as pipe:
        for task in tasks:
            count = json.loads(task.todo.split(" ", 3)[3])["count"]
            script(keys=names, args=[task.unit, task.reason, task.todo, count], client=pipe)
        replies = pipe.execute()
    return [task.unit for task, back in zip(tasks, replies, strict=True) if back]


def status(redis: Redis, job: str) -> Status:
    """One reading of the job. Raises JobNotFound."""
    with redis.pipeline() as pipe:
        pipe.hgetall(keys.job(job))
        pipe.hlen(keys.job(job, "leases"))
        pipe.hgetall(keys.job(job, "reasons"))
        pipe.xlen(keys.job(job, "results"))
        raw, running, reasons, uncollected = pipe.execute()
    fields = {name.decode(): value.decode() for name, value in raw.items()}
    if "state" not in fields:
        raise JobNotFound(f'job "{job}" is not in the ledger; `genfleet status` lists those that are.')

    def whole(name: str) -> int:
        return int(fields.get(name, 0))

    first = whole("first_at")
    now = time.time() * 1e6
    end = whole("ended_at") or (now if fields["state"] == "running" else whole("last_at"))
    total, settled = whole("total"), whole("accepted") + whole("rejected")
    return Status(
        job=job,
        recipe=fields["recipe"],
        model=fields["model"],
        state=fields["state"],
        total=total,
        accepted=whole("accepted"),
        rejected=whole("rejected"),
        running=running,
        waiting=max(0, total - settled - running),
        attempts=whole("attempts"),
        prompt_tokens=whole("prompt_tokens"),
        completion_tokens=whole("completion_tokens"),
        cached_tokens=whole("cached_tokens"),
        cost_usd=whole("spent") / NANO,
        cost_nano_usd=whole("spent"),
        reserved_usd=whole("reserved") / NANO,
        unknown_usd=whole("unknown") / NANO,
        budget_usd=whole("budget") / NANO if "budget" in fields else None,
        seconds=round(max(0.0, (end - first) / 1e6), 3) if first else 0.0,
        tasks=whole("units"),
        enqueued=whole("cursor"),
        duplicates=whole("duplicates"),
        duplicate_cost_usd=whole("duplicate_spent") / NANO,
        uncollected=uncollected,
        reasons={name.decode(): int(count) for name, count in sorted(reasons.items()) if int(count)},
        note=fields.get("note"),
    )
