"""One run's folder, environment, provider and processes; nothing of it outlives the run."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

import config
from benchmarks.scenarios import Scenario
from benchmarks.usage import Meter, marked

#: The code that is measured.
ROOT = Path(config.__file__).absolute().parents[1]
#: Known to every system that counts tokens or costs by a table of models. Curator reserves a quarter of what the
#: table says a model can write, so a model that writes little serves it best.
MODEL = "gpt-3.5-turbo"

_OURS = ("REDIS_URL", "MAX_CONCURRENT", "BATCH_DELAY_MS", "TEMPERATURE", "MAX_TOKENS", "HF_TOKEN", "FLOWER_BASIC_AUTH")
_START_SECONDS = 60.0
_END_SECONDS = 20.0


def options_of(text: str | None) -> argparse.ArgumentParser:
    """What a benchmark's command begins with: it ends in order, and its help is the text at the head of its module."""
    end_in_order()
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def end_in_order() -> None:
    """However this command is ended, everything it started ends; in the background a shell has Ctrl-C ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    shown = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("\nStopped; everything it had started is ended.", file=sys.stderr)
        else:
            shown(kind, error, trace)

    sys.excepthook = show


class RunFailed(Exception):
    """A system could not do its work; the message says why, in one line."""


class Bench:
    """What one run of one system has around it.

    Attributes:
        folder: the run's own, gone at the end.
        env: for the system's processes.
        provider: the address of the simulated provider, without a path; it listens on `host`.
        usage: what the system's processes use; the provider is not among them.
        deadline: of the monotonic clock; a system that is not done then has failed.
    """

    def __init__(self, scenario: Scenario, seconds: float, host: str = "127.0.0.1") -> None:
        self.scenario = scenario
        self._host = host
        self._temporary = tempfile.TemporaryDirectory(prefix="genfleet-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self._mark = f"GENFLEET_BENCH={uuid.uuid4().hex}"
        self._started: list[subprocess.Popen[bytes]] = []
        self.deadline = time.monotonic() + seconds
        clean = {name: value for name, value in os.environ.items() if name not in _OURS}
        for name in [name for name in clean if name.startswith("GENFLEET_") or name.endswith("_API_KEY")]:
            del clean[name]
        self._plain_env = clean | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "GENFLEET_PARENT": str(os.getpid()),
        }
        self.usage = Meter(self._mark)

    def __enter__(self) -> Self:
        self._provider = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.provider", json.dumps(self.scenario.provider() | {"host": self._host})],
            cwd=ROOT,
            env=self._plain_env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._provider.stdout is not None
        self.provider = self._provider.stdout.readline().decode().strip()
        if not self.provider:
            self._provider.wait()
            raise RunFailed("the simulated provider did not start")
        self.env = self._plain_env | {
            **dict([self._mark.split("=")]),
            "OPENAI_API_KEY": "sk-bench",
            "OPENAI_BASE_URL": self.base_url,
            "HOME": str(self.folder),
        }
        self.usage.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.usage.__exit__()
        try:
            for process in reversed(self._started):
                self.end(process)
        finally:
            # Only what carries this run's own mark.
            for pid in marked(self._mark):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._provider.terminate()
            self._provider.wait()
            self._temporary.cleanup()

    @property
    def base_url(self) -> str:
        """Where calls go: the manner of OpenAI, which all systems speak."""
        return f"{self.provider}/v1"

    def start(self, arguments: list[str], name: str, **env: str) -> subprocess.Popen[bytes]:
        """Starts a process of the system; its output goes to files of that name, where `said` finds it."""
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(
                arguments,
                cwd=self.folder,
                env=self.env | env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                # Ctrl-C is for the one who started it all, who then ends these in order.
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def said(self, name: str) -> str:
        """The standard output so far of the process of that name."""
        return (self.folder / f"{name}.out").read_text("utf-8", "replace")

    def why(self, name: str) -> str:
        """The last line that a process wrote to its standard error."""
        lines = (self.folder / f"{name}.err").read_text("utf-8", "replace").strip().splitlines()
        return f"{name}: {lines[-1].strip()[:200]}" if lines else f"{name} ended without a word"

    def finish(self, process: subprocess.Popen[bytes], name: str) -> str:
        """The standard output of a process once it has ended.

        Raises:
            RunFailed: it ended with an error, or not before the run's deadline.
        """
        try:
            code = process.wait(max(0.1, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise RunFailed(f"{name} was not done in time") from None
        if code:
            raise RunFailed(self.why(name))
        return self.said(name)

    def until(self, condition: Callable[[], bool], what: str, every: float = 0.1) -> None:
        """Waits for a condition.

        Raises:
            RunFailed: it did not come to pass before the run's deadline, or a process ended meanwhile with an error.
        """
        while not condition():
            if any(process.poll() for process in self._started):
                raise RunFailed(f"a process of the system ended before {what}")
            if time.monotonic() > self.deadline:
                raise RunFailed(f"not in time: {what}")
            time.sleep(every)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Asks a process to end, and ends it if it does not."""
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
        if process.poll() is None:
            process.kill()
        process.wait()

    def bill(self) -> dict[str, Any]:
        """The provider's bill."""
        found: dict[str, Any] = json.loads(self._get("/bill"))
        return found

    def calls_in_flight(self) -> int:
        """What the provider is answering at this moment."""
        return int(json.loads(self._get("/health"))["in_flight"])

    def audit(self) -> list[dict[str, Any]]:
        """Every call that has ended."""
        return [json.loads(line) for line in self._get("/audit").splitlines()]

    def control(self, changes: dict[str, Any]) -> None:
        """Changes the provider's settings."""
        body = json.dumps(changes).encode()
        with urlopen(Request(f"{self.provider}/control", body, method="POST"), timeout=10):
            pass

    def _get(self, path: str) -> bytes:
        with urlopen(f"{self.provider}{path}", timeout=30) as answer:
            found: bytes = answer.read()
            return found
