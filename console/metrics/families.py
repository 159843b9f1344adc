"""A moment of the ledger as families of Prometheus' metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from config.money import NANO
from console.metrics.catalogue import METRICS, Metric
from console.metrics.snapshot import STATES, Snapshot
from console.reading.binding import gauges
from ledger.history import ModelReading
from ledger.latency import UP_TO, Latencies
from ledger.status import Status

#: Causes of a job that have a label of their own; a fleet has some thirty words, and a status of HTTP each.
MOST_CAUSES = 50
_MOST_TEXT = 120  # characters of a label
_BOUNDS = ("requests", "tokens", "concurrent", "pause")

Samples = Iterable[tuple[tuple[str, ...], float]]
"""The values of a metric's labels, in their order, and its value."""


def family(metric: Metric, samples: Samples) -> Family:
    """The metric with these samples."""
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    made = kind(metric.name, metric.tells, labels=metric.labels)
    for labels, value in samples:
        made.add_metric([label[:_MOST_TEXT] for label in labels], value)
    return made


def families(now: Snapshot) -> Iterator[Family]:
    """All of them but those of the scrape itself."""
    figures = _fleet(now) | _jobs(now) | _models(now) | _workers(now)
    for name, samples in figures.items():
        yield family(METRICS[name], samples)
    yield _durations(now.latencies)


def _fleet(now: Snapshot) -> dict[str, Samples]:
    money: dict[str, int | None] = {}
    if now.books is not None:
        money = {
            "genfleet_day_cost_usd": now.books.spent,
            "genfleet_day_unknown_cost_usd": now.books.unknown,
            "genfleet_day_budget_usd": now.books.per_day,
            "genfleet_reserved_usd": now.books.reserved,
        }
    return {
        "genfleet_jobs": [((state,), now.states[state]) for state in STATES],
        **{name: [((), nano / NANO)] for name, nano in money.items() if nano is not None},
    }


def _jobs(now: Snapshot) -> dict[str, Samples]:
    each = now.jobs
    return {
        "genfleet_job_info": [((one.job, one.recipe, one.model), 1) for one in each],
        "genfleet_job_state": [((one.job, state), one.state == state) for one in each for state in STATES],
        "genfleet_job_examples": [
            ((one.job, status), getattr(one, status))
            for one in each
            for status in ("accepted", "rejected", "waiting", "running")
        ],
        "genfleet_job_queued_tasks": [((job,), tasks) for job, tasks in now.queued.items()],
        "genfleet_job_attempts_again_total": _causes(each, "again:"),
        "genfleet_job_rejections": _causes(each, "rejected:"),
        "genfleet_job_budget_usd": [((one.job,), one.budget_usd) for one in each if one.budget_usd is not None],
        **{name: [((one.job,), getattr(one, field)) for one in each] for name, field in _OF_A_JOB.items()},
    }


_OF_A_JOB: Mapping[str, str] = {
    "genfleet_job_duration_seconds": "seconds",
    "genfleet_job_uncollected_results": "uncollected",
    "genfleet_job_attempts_total": "attempts",
    "genfleet_job_duplicates_total": "duplicates",
    "genfleet_job_prompt_tokens_total": "prompt_tokens",
    "genfleet_job_cached_tokens_total": "cached_tokens",
    "genfleet_job_completion_tokens_total": "completion_tokens",
    "genfleet_job_cost_usd_total": "cost_usd",
    "genfleet_job_duplicate_cost_usd_total": "duplicate_cost_usd",
    "genfleet_job_unknown_cost_usd": "unknown_usd",
    "genfleet_job_reserved_usd": "reserved_usd",
}


def _causes(each: list[Status], outcome: str) -> Samples:
    """The causes of one outcome; beyond so many of a job, the rest are one."""
    found = []
    for one in each:
        counts = [(cause.removeprefix(outcome), n) for cause, n in one.reasons.items() if cause.startswith(outcome)]
        found += [((one.job, cause), n) for cause, n in counts[:MOST_CAUSES]]
        if rest := counts[MOST_CAUSES:]:
            found.append(((one.job, "other"), sum(n for _, n in rest)))
    return found


def _models(now: Snapshot) -> dict[str, Samples]:
    limits: dict[str, dict[str, float | None]]
    limits = {name: {gauge.name: gauge.limit for gauge in gauges(one)} for name, one in now.models.items()}

    def of(field: str) -> Samples:
        return [((name,), getattr(one, field)) for name, one in now.models.items()]

    def limit(field: str) -> Samples:
        return [((name,), found) for name, one in limits.items() if (found := one[field]) is not None]

    return {
        "genfleet_model_admissions_total": [((name,), calls) for name, calls in now.admitted.items()],
        "genfleet_model_refusals_total": of("refused"),
        "genfleet_model_wait_seconds_total": [
            ((name, bound), _waited(one, bound)) for name, one in now.models.items() for bound in _BOUNDS
        ],
        "genfleet_model_calls_in_flight": of("in_flight"),
        "genfleet_model_calls_in_flight_limit": limit("concurrent"),
        "genfleet_model_minute_requests": of("requests"),
        "genfleet_model_minute_requests_limit": limit("requests"),
        "genfleet_model_minute_tokens": of("tokens"),
        "genfleet_model_minute_tokens_limit": limit("tokens"),
        "genfleet_model_limits_left_ratio": of("share"),
    }


def _waited(reading: ModelReading, bound: str) -> float:
    return reading.waited.get(bound, 0) / 1000


def _workers(now: Snapshot) -> dict[str, Samples]:
    living = now.workers
    return {
        "genfleet_workers": [((), len(living))],
        "genfleet_worker_up": [((one.name,), 1) for one in living] + [((name,), 0) for name in now.dead],
        "genfleet_worker_heartbeat_age_seconds": [((one.name,), one.silent) for one in living],
        "genfleet_worker_calls_in_flight": [((one.name,), one.in_flight.total()) for one in living],
        "genfleet_worker_waiting_tasks": [((one.name,), one.waiting.total()) for one in living],
    }


def _durations(latencies: dict[str, Latencies]) -> Family:
    metric = METRICS["genfleet_model_call_duration_seconds"]
    made = HistogramMetricFamily(metric.name, metric.tells, labels=metric.labels)
    edges = ["+Inf" if math.isinf(edge) else str(edge) for edge in UP_TO]
    for model, found in latencies.items():
        made.add_metric([model], list(zip(edges, accumulate(found.calls), strict=True)), sum_value=found.seconds)
    return made
