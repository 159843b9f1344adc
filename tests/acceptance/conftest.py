"""What the acceptance tests share: a folder, an environment, a provider and a broker for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_bench import Fleet


@pytest.fixture
def fleet(tmp_path: Path, redis_url: str, redis_client: Any) -> Iterator[Fleet]:
    """A fleet with a broker; no process of it outlives its test."""
    with Fleet(tmp_path, redis_url, redis_client) as fleet:
        yield fleet


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Fleet]:
    """A machine without REDIS_URL; no process of it outlives its test."""
    with Fleet(tmp_path, None, None) as fleet:
        yield fleet
