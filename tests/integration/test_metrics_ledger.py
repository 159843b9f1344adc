"""What the metrics read from the ledger, and what bounds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from ledger_bench import Bench
from prometheus_client.parser import text_string_to_metric_families

from config.money import NANO
from console.metrics import families, snapshot
from console.metrics.catalogue import METRICS, document
from console.metrics.collector import Page
from ledger import fleet, jobs, keys

DOCUMENT = Path(__file__).parents[2] / "docs/metrics.md"


def samples(client: Any) -> dict[str, list[tuple[dict[str, str], float]]]:
    """By name what a scrape of the ledger tells."""
    text, _ = Page(lambda: client).text("")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


class Counting:
    """A client that counts how often it waits for the server."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self.trips = 0

    def pipeline(self, **options: Any) -> Any:
        self.trips += 1
        return self._client.pipeline(**options)

    def __getattr__(self, name: str) -> Any:
        self.trips += 1
        return getattr(self._client, name)


def test_the_document_is_of_this_catalogue() -> None:
    """docs/metrics.md tells of every metric as the code has it; `python -m console.metrics` writes it."""
    assert DOCUMENT.read_text("utf-8") == document(snapshot.MOST_JOBS, families.MOST_CAUSES)


def test_every_metric_is_told(bench: Bench) -> None:
    """With a job, a budget, a failure and a worker, the scrape has every metric of the catalogue and no other."""
    model = bench.model(requests_per_minute=60, tokens_per_minute=1e6, concurrent_requests=5)
    job = bench.job(model, units=3, budget=NANO)
    bench.redis.hset(keys.BUDGET, "per_day", 5 * NANO)
    job.granted(0)
    job.settle(0, outcome="again", reason="http_500", cost=0)
    bench.advance(10)
    job.granted(0)
    job.settle(0, outcome="rejected", reason="invalid", cost=5, rejected=1)
    fleet.beat(bench.redis, "here", [])
    found = samples(bench.redis)
    described = {f"{one.name}_count" if one.kind == "histogram" else one.name for one in METRICS.values()}
    assert {name for name in found if not name.endswith(("_bucket", "_sum"))} == described
    assert found["genfleet_job_attempts_again_total"] == [({"job_id": job.id, "cause": "http_500"}, 1)]
    assert found["genfleet_job_rejections"] == [({"job_id": job.id, "cause": "invalid"}, 1)]
    assert found["genfleet_job_cost_usd_total"] == [({"job_id": job.id}, 5 / NANO)]
    assert ({"model": model.name}, 2) in found["genfleet_model_admissions_total"]
    assert ({"model": model.name}, 60) in found["genfleet_model_minute_requests_limit"]


def test_limits_are_shown_as_they_are_in_force(bench: Bench) -> None:
    """What refusals have left of a limit is its value; one that nobody set is not shown."""
    model = bench.model(requests_per_minute=60)
    bench.job(model)
    bench.redis.hset(keys.model(model.name), "share", "0.5")
    found = samples(bench.redis)
    assert ({"model": model.name}, 30) in found["genfleet_model_minute_requests_limit"]
    assert ({"model": model.name}, 0.5) in found["genfleet_model_limits_left_ratio"]
    assert "genfleet_model_minute_tokens_limit" not in found


def test_fifty_jobs_are_read_in_as_many_round_trips_as_one(bench: Bench) -> None:
    """How often a scrape waits for the broker does not grow with the number of jobs."""
    model = bench.model()
    trips = []
    for more in (1, 49):
        for _ in range(more):
            bench.job(model)
        counting = Counting(bench.redis)
        samples(counting)
        trips.append(counting.trips)
    assert len(samples(bench.redis)["genfleet_job_info"]) == 50
    assert trips[0] == trips[1] < 100


def test_jobs_that_ended_long_ago_are_not_shown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those at rest for a day are counted by their state alone, and of many the newest and the running are shown."""
    model = bench.model()
    old, new, runs = bench.job(model), bench.job(model), bench.job(model)
    old.granted()
    old.settle()
    assert old.status().state == "complete"
    bench.advance(snapshot.REST_SECONDS + 60)
    new.granted()
    new.settle()
    found = samples(bench.redis)
    assert [labels["job_id"] for labels, _ in found["genfleet_job_info"]] == [runs.id, new.id]
    assert {labels["state"]: value for labels, value in found["genfleet_jobs"]}["complete"] == 2
    monkeypatch.setattr(snapshot, "MOST_JOBS", 1)
    assert [labels["job_id"] for labels, _ in samples(bench.redis)["genfleet_job_info"]] == [runs.id]


def test_labels_are_bounded(bench: Bench) -> None:
    """Causes beyond so many of a job are one, and a text that somebody put there is cut."""
    job = bench.job(bench.model())
    bench.redis.hset(keys.job(job.id, "reasons"), mapping={f"again:cause{n:03}": 2 for n in range(200)})
    bench.redis.hset(keys.job(job.id), "recipe", "r" * 1_000)
    found = samples(bench.redis)
    causes = {labels["cause"]: value for labels, value in found["genfleet_job_attempts_again_total"]}
    assert len(causes) == families.MOST_CAUSES + 1
    assert sum(causes.values()) == 400
    assert len(found["genfleet_job_info"][0][0]["recipe"]) < 200


def test_workers_are_told_alive_or_gone(bench: Bench) -> None:
    """A heart that beats is up with its age; one whose heartbeat has run out is shown as gone until it is reaped."""
    for name in ("here", "gone"):
        fleet.beat(bench.redis, name, [("job-0123456789", 1)])
    bench.redis.delete(keys.worker("gone"), keys.SILENCE)
    found = samples(bench.redis)
    assert found["genfleet_workers"] == [({}, 1)]
    assert found["genfleet_worker_up"] == [({"worker": "here"}, 1), ({"worker": "gone"}, 0)]
    ((labels, age),) = found["genfleet_worker_heartbeat_age_seconds"]
    assert (labels, 0 <= age <= fleet.DEAD_AFTER_SECONDS) == ({"worker": "here"}, True)
    assert found["genfleet_worker_waiting_tasks"] == [({"worker": "here"}, 1)]


def test_a_broker_that_is_away_is_told() -> None:
    """Without the ledger there is one figure that says so, besides how long it was asked, and no error."""

    def away() -> Any:
        raise redis.ConnectionError("nobody is there")

    text, _ = Page(away).text("")
    told = {family.name: family.samples[0].value for family in text_string_to_metric_families(text.decode())}
    assert told["genfleet_up"] == 0
    assert set(told) == {"genfleet_up", "genfleet_scrape_duration_seconds"}


def test_damaged_records_hide_no_other(bench: Bench) -> None:
    """A job, a model's record or books that cannot be read are left out."""
    model = bench.model()
    good, bad = bench.job(model), bench.job(model)
    bench.redis.hset(keys.job(bad.id), "accepted", "many")
    bench.redis.hset(keys.BUDGET, "reserved", "much")
    bench.redis.set(keys.model("gpt-4o"), "of another kind")
    found = samples(bench.redis)
    assert [labels["job_id"] for labels, _ in found["genfleet_job_info"]] == [good.id]
    assert found["genfleet_up"] == [({}, 1)]
    assert "genfleet_day_cost_usd" not in found
    assert jobs.ids(bench.redis)
