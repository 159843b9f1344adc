"""What the tests of the ledger share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger_bench import Bench

from config.settings import settings


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment that sets nothing of ours, whatever the developer's says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAX_CONCURRENT", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def bench(each_server: Any, each_redis_client: Any, no_settings: None) -> Iterator[Bench]:
    """An empty ledger, once on each kind of server there is."""
    with Bench(each_server.url, each_redis_client) as bench:
        yield bench
