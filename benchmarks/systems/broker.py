"""The embedded Valkey, which genfleet and plain Celery share in kind."""

from __future__ import annotations

import sys

import redis

from benchmarks.bench import Bench
from console.services import free_port


def start_broker(bench: Bench) -> str:
    """Starts `genfleet broker`; gives its URL once it answers."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    bench.start([sys.executable, "-m", "console", "broker", "--port", str(port), "--folder", "broker"], "broker")

    def answers() -> bool:
        try:
            with redis.Redis.from_url(url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    bench.until(answers, "the broker answers")
    return url
