"""Processes that a command starts beside the workers, which end with it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from urllib.request import urlopen

from config import folders
from config.errors import UserError
from config.private import private_file, private_folder
from workers.orphan import environment

START_SECONDS = 30.0
#: Addresses that only this machine reaches.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
        self._log = folders.logs() / f"{name}.log"
        private_folder(self._log.parent)
        with private_file(self._log).open("ab") as log:
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
        deadline = time.monotonic() + START_SECONDS
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
        end_process(self.popen)


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Asks a child process to end, and ends it if it does not within ten seconds; one that has ended is left alone."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    """Whether something answers a GET there, whatever it says."""
    try:
        with urlopen(url, timeout=2):  # noqa: S310  our own addresses
            return True
    except OSError as error:
        return hasattr(error, "code")
