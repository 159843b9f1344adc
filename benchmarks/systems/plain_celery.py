"""Celery alone, its `rate_limit` divided among the workers, because it holds in each of them by itself.

It stays far below the limit: each task that is held back has a timer of its own, and the event loop of the threads
pool runs ten timers and then waits for up to a second. Fewer prefetched tasks (a multiplier of 1) and all of them (0)
were tried; the default is the best of the three.
"""

from __future__ import annotations

import json
import sys

import redis

from benchmarks.bench import Bench
from benchmarks.peers.common import Task
from benchmarks.systems.base import Outcome, System, driven, task
from benchmarks.systems.broker import start_broker

_THREADS = 100
#: Every worker that listens to remote control, which it does last, has a queue bound here.
_READY = "_kombu.binding.celery.pidbox"
_PREFETCH = 4


class PlainCelery(System):
    """100 threads in all, in one worker or in two."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.name = f"celery-{workers}"

    def run(self, bench: Bench) -> Outcome:
        """As `System.run`."""
        url = start_broker(bench)
        told = Task(**task(bench))
        threads = (told.concurrent or _THREADS) // self.workers
        # Where calls in flight bind, threads are the limit. Celery knows no tokens: a user makes calls of them by hand.
        rate = None if told.concurrent else told.calls_per_minute
        limit = "" if rate is None else f"{rate / self.workers:.4g}/m"
        env = {
            "BENCH_TASK": json.dumps(task(bench)),
            "BENCH_RATE_LIMIT": limit,
            "BENCH_PREFETCH": str(_PREFETCH),
            "BENCH_BROKER": url,
        }
        celery = [sys.executable, "-m", "celery", "-A", "benchmarks.systems.celery_app", "worker", "-P", "threads"]
        for number in range(self.workers):
            options = ["-c", str(threads), "-n", f"w{number}@bench", "--loglevel", "WARNING"]
            bench.start([*celery, *options], f"worker{number}", **env)
        with redis.Redis.from_url(url) as client:
            bench.until(lambda: client.scard(_READY) == self.workers, "the workers are ready")
        outcome = driven(bench, sys.executable, "benchmarks.systems.celery_app", **env)
        how = f"{self.workers} x {threads} threads, rate_limit {limit or 'none'}, 3 retries"
        return Outcome(outcome.answered, how, {})
