"""How jobs and models have been over time: readings of the ledger's own counters, kept in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ledger import jobs, keys, limits
from ledger.connection import Redis, clock
from ledger.damaged import reading

EVERY_SECONDS = 4.5
"""A little less than what lies between two heartbeats, which take the readings."""
_PER_DOUBLING = 1000
_FRESH_SECONDS = 60.0
_MODEL_READINGS = 20_000
_JOB_FIELDS = ("accepted", "rejected", "attempts", "prompt_tokens", "completion_tokens", "spent")
_WAITS = ("requests", "tokens", "concurrent", "pause", "budget")


@dataclass(frozen=True)
class JobReading:
    """A job's counters at a moment; `at` in seconds since 1970, money in nano-dollars, `running` calls."""

    at: float
    accepted: int
    rejected: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    spent: int
    running: int

    @property
    def settled(self) -> int:
        """Examples that are accepted or rejected."""
        return self.accepted + self.rejected


@dataclass(frozen=True)
class ModelReading:
    """A model's use at a moment.

    Attributes:
        at: seconds since 1970.
        requests, tokens: admitted in the minute before.
        in_flight: calls.
        share: of the limits that refusals have left in use.
        refused: 429s since the ledger has known the model.
        rpm, tpm, concurrent: the limits in force; None where there is none.
        waited: milliseconds that lines of workers were told to wait, by what bound, since the ledger has known it.
    """

    at: float
    requests: int
    tokens: int
    in_flight: int
    share: float
    refused: int
    rpm: float | None
    tpm: float | None
    concurrent: int | None
    waited: dict[str, int]


def record(redis: Redis) -> None:
    """Takes a reading of whatever is at work, if it is time; one process of the fleet does, with each heartbeat.

    The longer a job has run the rarer its readings are, a thousandth of its time apart, so that a fortnight is some
    thousands of them.
    """
    now = clock(redis)
    names = jobs.ids(redis)
    with redis.pipeline() as pipe:
        for name in names:
            pipe.hmget(keys.job(name), "state", "model", "first_at", "last_at")
        found = dict(zip(names, pipe.execute(), strict=True))
    # One that has come to rest is read once more.
    active = {
        name: (model.decode(), float(first or 0) / 1e6, state == b"running")
        for name, (state, model, first, last) in found.items()
        if model and first and (state == b"running" or float(last or 0) / 1e6 > now - _FRESH_SECONDS)
    }
    for name, (_, first, runs) in active.items():
        _record_job(redis, name, now, max(EVERY_SECONDS, (now - first) / _PER_DOUBLING) if runs else 0.0)
    for model in {model for model, _, _ in active.values()}:
        _record_model(redis, model, now)


def _record_job(redis: Redis, job: str, now: float, every: float) -> None:
    with redis.pipeline() as pipe:
        pipe.hmget(keys.job(job), _JOB_FIELDS)
        pipe.hlen(keys.job(job, "leases"))
        pipe.xrevrange(keys.job(job, "history"), count=1)
        values, running, before = pipe.execute()
    reading = {name: int(value or 0) for name, value in zip(_JOB_FIELDS, values, strict=True)} | {"running": running}
    if before:
        entry, fields = before[0]
        same = {name.decode(): int(value) for name, value in fields.items()} == reading
        if now - _seconds(entry) < every or (every == 0 and same):
            return
    redis.xadd(keys.job(job, "history"), reading)


def _record_model(redis: Redis, model: str, now: float) -> None:
    last = redis.xrevrange(keys.history(model), count=1)
    if last and now - _seconds(last[0][0]) < EVERY_SECONDS:
        return
    use, declared = limits.use(redis, model), limits.read(redis, model)
    waited = redis.hmget(keys.model(model), [f"waited_{what}" for what in _WAITS])
    rpm = _lower(declared.requests_per_minute, use.told.requests_per_minute)
    tpm = _lower(declared.tokens_per_minute, use.told.tokens_per_minute)
    in_force = {"rpm": rpm if rpm or tpm else use.guessed, "tpm": tpm, "concurrent": declared.concurrent_requests}
    reading = {
        "requests": use.requests,
        "tokens": use.tokens,
        "in_flight": use.in_flight,
        "share": f"{use.share:.4f}",
        "refused": use.refused,
        **{name: limit for name, limit in in_force.items() if limit is not None},
        **{f"waited_{what}": int(ms) for what, ms in zip(_WAITS, waited, strict=True) if ms},
    }
    redis.xadd(keys.history(model), reading, maxlen=_MODEL_READINGS, approximate=True)


def _lower(one: float | None, other: float | None) -> float | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def _seconds(entry: bytes) -> float:
    return int(entry.split(b"-")[0]) / 1000


def counters(redis: Redis, job: str, at: float) -> JobReading:
    """The job's counters as they are now, as the reading of the moment `at`."""
    values = redis.hmget(keys.job(job), _JOB_FIELDS)
    found = {name: int(value or 0) for name, value in zip(_JOB_FIELDS, values, strict=True)}
    return JobReading(at=at, running=redis.hlen(keys.job(job, "leases")), **found)


def of_job(
    redis: Redis, job: str, since: float = 0.0, until: float | None = None, most: int | None = None
) -> list[JobReading]:
    """The job's readings from `since` to `until` (seconds since 1970), the earliest first; of many, about `most`.

    Raises Damaged.
    """
    with reading(f'the readings of job "{job}"'):
        return [
            JobReading(at=_seconds(entry), **{name.decode(): int(value) for name, value in fields.items()})
            for entry, fields in _entries(redis, keys.job(job, "history"), since, until, most)
        ]


def _entries(redis: Redis, stream: str, since: float, until: float | None, most: int | None) -> list[Any]:
    """Of more than `most` entries, the first in each of so many equal spans of time, and the last one."""
    low, high = round(since * 1000), "+" if until is None else round(until * 1000)
    first = redis.xrange(stream, min=low, max=high, count=None if most is None else most + 1)
    if most is None or len(first) <= most:
        return list(first)
    last = redis.xrevrange(stream, max=high, min=low, count=1)
    begin, end = round(_seconds(first[0][0]) * 1000), round(_seconds(last[0][0]) * 1000)
    with redis.pipeline(transaction=False) as pipe:
        for step in range(most):
            pipe.xrange(stream, min=begin + (end - begin) * step // most, max=high, count=1)
        found = {entry: fields for reply in pipe.execute() for entry, fields in reply}
    return list((found | dict(last)).items())


def of_model(
    redis: Redis, model: str, since: float = 0.0, until: float | None = None, most: int | None = None
) -> list[ModelReading]:
    """The model's readings from `since` to `until` (seconds since 1970), the earliest first; of many, about `most`.

    Raises Damaged.
    """
    with reading(f"the readings of {model}"):
        return _of_model(redis, model, since, until, most)


def _of_model(redis: Redis, model: str, since: float, until: float | None, most: int | None) -> list[ModelReading]:
    readings = []
    for entry, raw in _entries(redis, keys.history(model), since, until, most):
        fields = {name.decode(): float(value) for name, value in raw.items()}
        concurrent = fields.get("concurrent")
        readings.append(
            ModelReading(
                at=_seconds(entry),
                requests=int(fields["requests"]),
                tokens=int(fields["tokens"]),
                in_flight=int(fields["in_flight"]),
                share=fields["share"],
                refused=int(fields["refused"]),
                rpm=fields.get("rpm"),
                tpm=fields.get("tpm"),
                concurrent=None if concurrent is None else int(concurrent),
                waited={what: int(fields[name]) for what in _WAITS if (name := f"waited_{what}") in fields},
            )
        )
    return readings
