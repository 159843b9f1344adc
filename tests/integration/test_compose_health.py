"""The health checks of docker-compose.yml, run as they stand there against real servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis
import yaml

from ledger import fleet

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]


def healthy(service: str, url: str) -> bool:
    """Whether a service's health check passes with the broker at `url`."""
    kind, program, *arguments = SERVICES[service]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    command = [sys.executable, *arguments]
    return subprocess.run(command, env={**os.environ, "REDIS_URL": url}, cwd=ROOT, check=False).returncode == 0


def test_a_worker_is_healthy_while_its_heart_beats(redis_url: str, redis_client: redis.Redis) -> None:
    """A worker's container is healthy if one of its processes beats; another container's beat does not count."""
    fleet.beat(redis_client, "another-container-1", [])
    assert not healthy("worker", redis_url)
    fleet.beat(redis_client, f"{socket.gethostname()}-17-ab12-1-c0ffee", [])
    assert healthy("worker", redis_url)
