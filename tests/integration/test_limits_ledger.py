"""The fleet's limits in the ledger: declared by files, changed by people, kept by every worker, on real servers."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_bench import ADMIT, Bench, Job

from config.models import Limits, Model
from config.settings import settings
from ledger import limits
from ledger.leases import Grant

DECLARED: dict[str, Any] = {"requests_per_minute": 500.0, "tokens_per_minute": 1e6, "concurrent_requests": 100}


def with_limits(model: Model, **changes: Any) -> Model:
    """The model as an edited file declares it."""
    return model.model_copy(update={"limits": model.limits.model_copy(update=changes)})


def with_ten_calls(bench: Bench) -> Job:
    """A job with ten calls in flight, of a model of 600 requests a minute, and room for two more."""
    job = bench.job(bench.model(requests_per_minute=600), units=12)
    for unit in range(10):
        job.granted(unit)
        bench.advance(0.2)
    return job


def test_declared_limits_are_in_force(bench: Bench) -> None:
    """What the file declares is read back as it was, none where it declares none."""
    full, none = bench.model(**DECLARED), bench.model()
    assert limits.read(bench.redis, full.name) == Limits(**DECLARED)
    assert limits.read(bench.redis, none.name) == Limits()
    assert limits.use(bench.redis, full.name) == limits.Use(0, 0, 1.0, 0, 0, Limits(), None)


def test_a_limit_that_a_person_set_outlives_a_restart(bench: Bench) -> None:
    """Workers that start later and declare the same file change nothing."""
    model = bench.model(**DECLARED)
    limits.change(bench.redis, model.name, {"requests_per_minute": 300.0})
    limits.declare(bench.redis, model)
    assert limits.read(bench.redis, model.name) == Limits(**{**DECLARED, "requests_per_minute": 300.0})


def test_a_file_that_was_edited_wins(bench: Bench) -> None:
    """Declaring other limits than before replaces what was set live."""
    model = bench.model(**DECLARED)
    limits.change(bench.redis, model.name, {"requests_per_minute": 300.0})
    limits.declare(bench.redis, with_limits(model, tokens_per_minute=None, concurrent_requests=7))
    assert limits.read(bench.redis, model.name) == Limits(requests_per_minute=500, concurrent_requests=7)


def test_only_the_limits_named_are_changed(bench: Bench) -> None:
    """None takes a limit away; what is not named stays."""
    model = bench.model(**DECLARED)
    limits.change(bench.redis, model.name, {"tokens_per_minute": None})
    assert limits.read(bench.redis, model.name) == Limits(requests_per_minute=500, concurrent_requests=100)


@pytest.mark.parametrize(("declared", "cap", "in_force"), [(100, 20, 20), (10, 20, 10), (None, 20, 20)])
def test_the_environment_may_lower_concurrency(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, declared: int | None, cap: int, in_force: int
) -> None:
    """MAX_CONCURRENT lowers a model's limit and never raises it."""
    monkeypatch.setenv("MAX_CONCURRENT", str(cap))
    settings.cache_clear()
    model = bench.model(concurrent_requests=declared)
    assert limits.read(bench.redis, model.name).concurrent_requests == in_force


def test_concurrency_changes_at_once_for_every_worker(bench: Bench) -> None:
    """The next admission anywhere goes by the new limit; a lower one ends no call in flight."""
    model = bench.model(concurrent_requests=1)
    job = bench.job(model, units=5)
    job.granted(0)
    assert job.waits(1, worker="x").binds == "concurrent"
    limits.change(bench.redis, model.name, {"concurrent_requests": 3})
    job.granted(1, worker="x")
    job.granted(2, worker="y")
    limits.change(bench.redis, model.name, {"concurrent_requests": 2})
    job.settle(0)
    assert job.waits(3).binds == "concurrent"
    job.settle(1)
    job.granted(3)
    limits.change(bench.redis, model.name, {"concurrent_requests": None})
    job.granted(4)


def test_a_model_is_shared_by_all_its_jobs(bench: Bench) -> None:
    """Slots and buckets belong to the model: what one job takes, another misses; another model's are its own."""
    model, other = bench.model(concurrent_requests=1), bench.model(concurrent_requests=1)
    one, two, elsewhere = bench.job(model), bench.job(model), bench.job(other)
    one.granted()
    assert two.waits().binds == "concurrent"
    elsewhere.granted()
    one.settle()
    two.granted()


def test_a_lower_rate_holds_from_the_next_admission_on(bench: Bench) -> None:
    """A wait under the new rate is as long as the new rate needs."""
    job = bench.job(bench.model(requests_per_minute=60_300), units=3)
    job.granted(0)
    limits.change(bench.redis, job.model.name, {"requests_per_minute": 6})
    # A call every ten seconds; the bucket, which was empty, is full enough with half a second's.
    assert job.wait_for(1) == pytest.approx(0.5, abs=0.002)
    assert job.wait_for(2) == pytest.approx(ADMIT["WINDOW"] / 6, abs=0.01)


def test_a_higher_rate_holds_from_the_next_admission_on(bench: Bench) -> None:
    """Whoever waits under the old rate asks again within a second, and then goes by the new one."""
    job = bench.job(bench.model(requests_per_minute=6.03), units=3)
    job.granted(0)
    reply = job.waits(1)
    assert reply.milliseconds <= 1000
    limits.change(bench.redis, job.model.name, {"requests_per_minute": 60_300})
    bench.advance(reply.milliseconds / 1000)
    job.granted(1)


def test_a_changed_limit_forgets_what_429s_taught(bench: Bench) -> None:
    """A person who sets a limit knows better than the cuts of before; what the provider told stays."""
    job = with_ten_calls(bench)
    model = job.model
    job.settle(0, outcome="again", retry_after_ms=1000, told_rpm=450.0)
    assert bench.share(model) < 1
    limits.change(bench.redis, model.name, {"requests_per_minute": 300.0})
    assert bench.share(model) == 1
    assert limits.use(bench.redis, model.name).told == Limits(requests_per_minute=450)


def test_the_use_of_a_model_is_told(bench: Bench) -> None:
    """Calls in flight, 429s so far, the share in use and the last minute are read in one go."""
    job = with_ten_calls(bench)
    job.settle(0, outcome="again", retry_after_ms=10, told_rpm=900.0, told_tpm=1e6)
    use = limits.use(bench.redis, job.model.name)
    assert use == limits.Use(9, 1, use.share, 9, 9 * 130, Limits(requests_per_minute=900, tokens_per_minute=1e6), None)
    assert use.share == pytest.approx(0.9, abs=0.1)


@pytest.mark.parametrize("kind", ["rpm", "tpm"])
def test_of_declared_and_told_limits_the_lower_one_binds(bench: Bench, kind: str) -> None:
    """A provider that tells a lower limit than was declared is believed; a higher one changes nothing."""
    of_one = {"rpm": 1, "tpm": 130}[kind]
    declared: dict[str, Any] = {{"rpm": "requests_per_minute", "tpm": "tokens_per_minute"}[kind]: 6000.0 * of_one}
    model = bench.model(**declared)
    job = bench.job(model, units=4)
    paces = []
    for unit, told in enumerate([12_000.0, 60.0, 60.0, 60.0]):
        paces.append(job.wait_for(unit))
        figures: dict[str, Any] = {f"told_{kind}": told * of_one}
        job.settle(unit, prompt_tokens=30, completion_tokens=100, **figures)
    assert paces[1] <= 0.011
    assert paces[3] == pytest.approx(1, abs=0.02)


def test_a_bucket_fills_to_its_burst_and_no_further(bench: Bench) -> None:
    """After an hour without calls the fleet may start with half a second's requests, not with an hour's."""
    model = bench.model(requests_per_minute=20 * ADMIT["WINDOW"])  # 20 a second
    job = bench.job(model, units=40)
    job.granted(0)
    bench.advance(3600)
    granted = 0
    while isinstance(job.admit(1 + granted), Grant):
        granted += 1
    assert granted == 10
    assert limits.use(bench.redis, model.name).in_flight == 11
