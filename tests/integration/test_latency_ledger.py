"""How long calls took and how many were admitted, as the ledger counts them."""

from __future__ import annotations

import math

from ledger_bench import Bench

from ledger import keys, latency
from ledger.latency import UP_TO


def test_each_call_is_counted_in_its_step(bench: Bench) -> None:
    """A call of just a step's length belongs to it, a longer one to the next; the sum is that of all."""
    model = bench.model(requests_per_minute=1e9)
    took = [edge + more for edge in UP_TO[:-1] for more in (0.0, 0.001)]
    job = bench.job(model, units=len(took))
    for unit, seconds in enumerate(took):
        job.granted(unit)
        job.settle(unit, latency=seconds)
        bench.advance(1)
    found = latency.read(bench.redis, [model.name])[model.name]
    assert found.calls == (1, *[2] * (len(UP_TO) - 2), 1)
    assert math.isclose(found.seconds, sum(took), abs_tol=1e-6)


def test_a_call_counts_once(bench: Bench) -> None:
    """The same attempt settled again, and one without an answer, count no time; every grant is an admission."""
    model = bench.model()
    job = bench.job(model, units=2)
    job.granted(token="a")
    job.granted(token="a")
    for _ in range(2):
        job.settle(token="a", latency=1.5)
    job.granted(1, token="b")
    job.settle(1, token="b", outcome="again", reason="timeout", cost=None)
    found = latency.read(bench.redis, [model.name])[model.name]
    assert (sum(found.calls), found.seconds) == (1, 1.5)
    assert bench.redis.hget(keys.model(model.name), "admitted") == b"2"


def test_what_is_no_count_is_none(bench: Bench) -> None:
    """A record of another kind, or of texts, keeps nobody from reading the others."""
    bench.redis.set(keys.learned("text"), "of another kind")
    bench.redis.hset(keys.learned("words"), mapping={"le1": "many", "ms": "nan"})
    none = latency.Latencies((0,) * len(UP_TO), 0.0)
    assert latency.read(bench.redis, ["text", "words", "unknown"]) == dict.fromkeys(["text", "words", "unknown"], none)
