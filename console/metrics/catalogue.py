"""Every metric there is: its name, its kind, its labels, and what it tells. docs/metrics.md is made of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

#: A job is named by this label: Prometheus itself has `job` for what it scrapes.
JOB = "job_id"


@dataclass(frozen=True)
class Metric:
    """One metric, as Prometheus shows it; a counter's name ends in _total."""

    name: str
    kind: Kind
    tells: str
    labels: tuple[str, ...] = ()


METRICS = {
    one.name: one
    for one in (
        Metric("genfleet_up", "gauge", "1 where the ledger could be read, else 0 and nothing else is shown."),
        Metric("genfleet_scrape_duration_seconds", "gauge", "How long the ledger was read for these figures."),
        # Jobs
        Metric("genfleet_jobs", "gauge", "Jobs in each state, of all that the ledger knows.", ("state",)),
        Metric("genfleet_job_info", "gauge", "1, with the job's recipe and its model.", (JOB, "recipe", "model")),
        Metric("genfleet_job_state", "gauge", "1 for the state that the job is in, 0 for the others.", (JOB, "state")),
        Metric(
            "genfleet_job_duration_seconds", "gauge", "From the job's first call until it rested, or until now.", (JOB,)
        ),
        Metric(
            "genfleet_job_examples",
            "gauge",
            "The job's examples by what has become of them: accepted, rejected, waiting; running counts calls.",
            (JOB, "status"),
        ),
        Metric("genfleet_job_queued_tasks", "gauge", "Tasks in the job's queue that no worker has taken.", (JOB,)),
        Metric("genfleet_job_uncollected_results", "gauge", "Results that no collector has taken yet.", (JOB,)),
        Metric("genfleet_job_attempts_total", "counter", "Attempts that have ended, whatever they came to.", (JOB,)),
        Metric(
            "genfleet_job_attempts_again_total",
            "counter",
            "Of these, the ones that settled nothing, by cause: another attempt follows, or the job stops.",
            (JOB, "cause"),
        ),
        Metric(
            "genfleet_job_rejections",
            "gauge",
            "Rejected examples by cause; `genfleet retry` takes them back, so it may fall.",
            (JOB, "cause"),
        ),
        Metric("genfleet_job_duplicates_total", "counter", "Answers to examples that another one had settled.", (JOB,)),
        Metric("genfleet_job_prompt_tokens_total", "counter", "Prompt tokens, those from a cache too.", (JOB,)),
        Metric("genfleet_job_cached_tokens_total", "counter", "Of these, read from the provider's cache.", (JOB,)),
        Metric("genfleet_job_completion_tokens_total", "counter", "Completion tokens.", (JOB,)),
        # Money
        Metric("genfleet_job_cost_usd_total", "counter", "What the job has cost, as far as it is known.", (JOB,)),
        Metric("genfleet_job_duplicate_cost_usd_total", "counter", "Of it, for duplicates.", (JOB,)),
        Metric(
            "genfleet_job_unknown_cost_usd",
            "gauge",
            "Charged at the most they can have cost: calls whose answer never came.",
            (JOB,),
        ),
        Metric("genfleet_job_reserved_usd", "gauge", "The most that its calls in flight can cost.", (JOB,)),
        Metric("genfleet_job_budget_usd", "gauge", "The most that it may spend; absent without a budget.", (JOB,)),
        Metric("genfleet_day_cost_usd", "gauge", "What all jobs have cost since midnight UTC."),
        Metric("genfleet_day_unknown_cost_usd", "gauge", "As genfleet_job_unknown_cost_usd, of all jobs today."),
        Metric("genfleet_day_budget_usd", "gauge", "The most that the fleet may spend in a day; absent without one."),
        Metric("genfleet_reserved_usd", "gauge", "The most that all calls in flight can cost."),
        # Models and their limits
        Metric("genfleet_model_admissions_total", "counter", "Calls that were admitted.", ("model",)),
        Metric("genfleet_model_refusals_total", "counter", "429s.", ("model",)),
        Metric(
            "genfleet_model_wait_seconds_total",
            "counter",
            "Time that lines of workers were told to wait, by what bound: requests, tokens, concurrent, pause.",
            ("model", "bound"),
        ),
        Metric("genfleet_model_calls_in_flight", "gauge", "Calls that were admitted and have not ended.", ("model",)),
        Metric("genfleet_model_calls_in_flight_limit", "gauge", "The limit on them in force.", ("model",)),
        Metric("genfleet_model_minute_requests", "gauge", "Requests admitted in the last minute.", ("model",)),
        Metric(
            "genfleet_model_minute_requests_limit",
            "gauge",
            "The limit on requests a minute in force: declared, told by the provider or learned, as refusals left it.",
            ("model",),
        ),
        Metric("genfleet_model_minute_tokens", "gauge", "Tokens admitted in the last minute.", ("model",)),
        Metric(
            "genfleet_model_minute_tokens_limit",
            "gauge",
            "As for requests, on tokens a minute.",
            ("model",),
        ),
        Metric(
            "genfleet_model_limits_left_ratio",
            "gauge",
            "The share of the limits a minute that refusals have left in use.",
            ("model",),
        ),
        Metric("genfleet_model_call_duration_seconds", "histogram", "How long answered calls took.", ("model",)),
        # Workers
        Metric("genfleet_workers", "gauge", "Worker processes whose heart beats."),
        Metric("genfleet_worker_up", "gauge", "1 where its heart beats, 0 where it is silent and gone.", ("worker",)),
        Metric("genfleet_worker_heartbeat_age_seconds", "gauge", "Since its last heartbeat.", ("worker",)),
        Metric("genfleet_worker_calls_in_flight", "gauge", "Calls that it has in flight.", ("worker",)),
        Metric("genfleet_worker_waiting_tasks", "gauge", "Tasks that it holds without a call in flight.", ("worker",)),
    )
}

_INTRODUCTION = """# Metrics

`genfleet metrics` serves them at `/metrics`, and Flower at `/fleet/metrics`, behind its password. Each scrape reads the
ledger's own counters, the same that `genfleet status` shows: nothing is counted a second time, and nothing is lost
while nobody scrapes. Money is in US dollars, time in seconds.

Per job there are figures of those that run, and of those that came to rest within a day: the newest {jobs} of them.
A job's name is in `job_id`, as Prometheus has `job` for what it scrapes. `cause` is one of the words that
`genfleet status` shows, and `other` beyond the first {causes} of a job.
"""


def document(jobs: int, causes: int) -> str:
    """docs/metrics.md: one row a metric.

    Args:
        jobs: of how many there are figures.
        causes: of a job, how many have a label.
    """
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.tells} |"
        for one in METRICS.values()
    ]
    head = ["| name | kind | labels | |", "|---|---|---|---|"]
    return "\n".join([_INTRODUCTION.format(jobs=jobs, causes=causes), *head, *rows]) + "\n"


def names(metrics: Iterable[Metric]) -> list[str]:
    """The names of the time series that Prometheus keeps of them."""
    found = []
    for one in metrics:
        histogram = one.kind == "histogram"
        found += [f"{one.name}_{part}" for part in ("bucket", "sum", "count")] if histogram else [one.name]
    return found
