"""Several Celery worker processes as one: started, watched, restarted, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import redis as redis_py

from config.logs import log
from config.private import private_file, private_folder
from config.settings import settings
from ledger import fleet
from ledger.connection import Redis
from workers.app import task_name
from workers.janitor import enqueue_again
from workers.orphan import environment

_BACKOFF_MOST = 30.0
_STEADY_SECONDS = 60.0
_AFTER_GRACE_SECONDS = 15.0
_LISTEN_SECONDS = 5.0
_PROMPT_SECONDS = 1.0  # of a broker's answer
_JOIN_SECONDS = 60.0  # a worker that starts may need so long until its heart first beats
_STILL_MOST = 6  # half a minute: twice as long as a heartbeat lasts


@dataclass
class Child:
    """One worker process and what it is for."""

    name: str
    index: int
    worker: str
    popen: subprocess.Popen[bytes]
    started: float
    failures: int = 0
    restart_at: float | None = None
    still: int = 0
    """How often in a row its heart was not heard although it could have been."""
    joined: bool = False
    end_by: float | None = None
    """When it must have ended, having been told to."""


class Supervisor:
    """Keeps `processes` Celery workers of `concurrency` places each alive until it is told to stop."""

    def __init__(
        self, redis: Redis, models: list[str], processes: int, concurrency: int, logs: Path | None = None
    ) -> None:
        self._redis = redis
        self._concurrency = concurrency
        self._logs = logs
        self._queues = ",".join(map(task_name, models))
        self._stopping = threading.Event()
        self._killing = threading.Event()
        unique = uuid.uuid4().hex[:4]
        self._children = [self._start(f"{os.getpid()}-{unique}-{k + 1}", k) for k in range(processes)]

    def _start(self, name: str, index: int, failures: int = 0) -> Child:
        worker = f"{socket.gethostname()}-{name}-{uuid.uuid4().hex[:6]}"
        command = [sys.executable, "-m", "celery", "-A", "workers", "--quiet", "worker"]
        command += ["-c", str(self._concurrency), "-Q", self._queues, "-n", f"{name}@%h"]
        command += ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
        log_file: IO[bytes] | None = None
        if self._logs is not None:
            log_file = private_file(private_folder(self._logs) / f"worker-{name.rpartition('-')[2]}.log").open("ab")
        # A session of its own: Ctrl-C reaches the supervisor alone, which then stops its workers in order.
        popen = subprocess.Popen(
            command,
            env={**environment(), "GENFLEET_WORKER": worker},
            stdin=subprocess.DEVNULL,
            # Celery says there that it stops; what there is to know is in the log.
            stdout=log_file or subprocess.DEVNULL,
            stderr=log_file or None,
            start_new_session=True,
        )
        if log_file is not None:
            log_file.close()
        return Child(name, index, worker, popen, time.monotonic(), failures)

    def run(self, told: Callable[[], None] = lambda: None) -> int:
        """Watches the workers until `stop`; then 0, or 1 where some had to be killed.

        `told` is called once they have been told to stop.
        """
        # In a thread of its own, which a broker that does not answer may hold up.
        threading.Thread(target=self._listen, name="hearts", daemon=True).start()
        while not self._stopping.wait(0.2):
            for place, child in enumerate(self._children):
                self._children[place] = self._watched(child)
        living = [child for child in self._children if child.popen.poll() is None]
        for child in living:
            child.popen.send_signal(signal.SIGTERM)
        told()
        return self._ended(living)

    def _watched(self, child: Child) -> Child:
        code = child.popen.poll()
        if code is None:
            if child.end_by is not None and time.monotonic() > child.end_by:
                child.popen.kill()
            return child
        if child.restart_at is None:
            child.failures = 1 if time.monotonic() - child.started > _STEADY_SECONDS else child.failures + 1
            pause = min(_BACKOFF_MOST, 2.0 ** (child.failures - 1))
            log("worker_ended", name=child.name, code=code, seconds=pause)
            child.restart_at = time.monotonic() + pause
            self._give_back(child)
        if time.monotonic() < child.restart_at:
            return child
        return self._start(child.name, child.index, child.failures)

    def _listen(self) -> None:
        """Ends workers that live and are of no use: they say so themselves, or their hearts stand still."""
        while not self._stopping.wait(_LISTEN_SECONDS):
            living = [child for child in self._children if child.popen.poll() is None and child.end_by is None]
            began = time.monotonic()
            try:
                hearts = fleet.hearts(self._redis, [child.worker for child in living]) if living else []
            except (redis_py.RedisError, OSError):
                hearts = []
            if not hearts or time.monotonic() - began > _PROMPT_SECONDS:
                # While the broker is away, or has just come back, a heart that is not heard proves nothing.
                for child in living:
                    child.still = 0
                continue
            for child, heart in zip(living, hearts, strict=True):
                self._judge(child, heart)

    def _judge(self, child: Child, heart: str | None) -> None:
        if heart is not None:
            child.still, child.joined = 0, True
        elif child.joined or time.monotonic() - child.started > _JOIN_SECONDS:
            child.still += 1
        if heart == "silent":
            log("worker_deaf", name=child.name)
            child.popen.send_signal(signal.SIGTERM)
            child.end_by = time.monotonic() + settings().grace_seconds + _AFTER_GRACE_SECONDS
        elif child.still >= _STILL_MOST:
            log("worker_still", name=child.name)
            child.end_by = time.monotonic()

    def _give_back(self, child: Child) -> None:
        """What a dead worker held goes back to the queue now: nobody need wait for its heartbeat to run out."""
        try:
            enqueue_again(self._redis, fleet.reap(self._redis, child.worker, now=True))
        except (redis_py.RedisError, OSError) as error:
            log("examples_wait", name=child.name, error=type(error).__name__)

    def stop(self) -> None:
        """Told once, it lets calls in flight finish within the grace period; told again, it returns at once."""
        if self._stopping.is_set():
            self._killing.set()
        self._stopping.set()

    def _ended(self, living: list[Child]) -> int:
        deadline = time.monotonic() + settings().grace_seconds + _AFTER_GRACE_SECONDS
        while any(child.popen.poll() is None for child in living):
            if self._killing.wait(0.05) or time.monotonic() > deadline:
                break
        killed = [child for child in living if child.popen.poll() is None]
        for child in killed:
            child.popen.kill()
        for child in self._children:
            child.popen.wait()
            self._give_back(child)
        return 1 if killed else 0
