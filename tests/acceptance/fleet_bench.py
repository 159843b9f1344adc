"""Whole processes as a person runs them, each ended by its own id, and what is left of them at the end."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import redis as redis_py

from config.models import load_models
from console.provider.server import SimulatedProvider
from console.provider.settings import ProviderSettings
from ledger import jobs, keys
from ledger.parts import Kind, Parts
from ledger.status import status_of

T = TypeVar("T")

MODEL = "anthropic/claude-haiku-4.5"
QUEUE = f"generate.{MODEL}"
OPENAI_MODEL = "gpt-4o"
#: A third model, and a second one of the same provider.
OTHER_MODEL = "openai/gpt-4o"

#: Limits that no test meets, so that what it shows is not how fast they let it.
_UNMET = {"requests_per_minute": 600_000, "tokens_per_minute": 1_000_000_000, "concurrent_requests": 1_000}
_RECIPE = """
name = "small"
description = "One question"
model = "{model}"
prompt = "Scrivi la domanda numero {{{{ numero }}}} sul tema {{{{ tema }}}}."
{output}
[sampling]
max_tokens = 400

[axes]
numero = [{numbers}]
tema = [{numbers}]

[call]
timeout_seconds = {timeout}

[chat]
user = "{{{{ question }}}}"
assistant = "{{{{ answer }}}}"
"""
_OUTPUT = """
[output]
type = "object"
properties = { question = { type = "string" }, answer = { type = "string" } }
required = ["question", "answer"]
additionalProperties = false
"""


def small_recipe(model: str = MODEL, timeout: float = 60, output: str = _OUTPUT) -> str:
    """The recipe "small", which asks for a question on every pair of fifty numbers; `output` is a line or a table."""
    numbers = ", ".join(map(str, range(1, 51)))
    return _RECIPE.format(model=model, output=output, numbers=numbers, timeout=timeout)


def small_answer(name: str, schema: dict[str, Any] | None, messages: list[dict[str, Any]], rng: random.Random) -> str:
    """What the recipe "small" asks for, made at almost no cost."""
    return json.dumps({"question": f"Perché {rng.random()}?", "answer": "Perché sì."}, ensure_ascii=False)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Command:
    """A command that runs; its output goes to files."""

    def __init__(self, arguments: list[str], folder: Path, env: dict[str, str], name: str, cwd: Path) -> None:
        self.name = name
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.popen = subprocess.Popen(arguments, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=out, stderr=err)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    @property
    def out(self) -> str:
        """Its standard output so far."""
        return self._out.read_text("utf-8")

    @property
    def err(self) -> str:
        """Its standard error so far."""
        return self._err.read_text("utf-8")

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.popen.poll() is None

    def write(self, data: bytes) -> None:
        """Gives it all of its standard input."""
        assert self.popen.stdin is not None
        with self.popen.stdin as stdin:
            stdin.write(data)

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.popen.send_signal(number)

    def wait(self, seconds: float = 60) -> Done:
        """Its end."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        try:
            code = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended after {seconds:g} s:\n{self.shown()}") from None
        return Done(code, self.out, self.err)

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 60) -> Done:
        """Sends it a signal and waits for its end."""
        self.send(number)
        return self.wait(seconds)

    def kill(self) -> None:
        """Ends it at once if it runs."""
        if self.runs:
            self.popen.kill()
        self.popen.wait()
        assert self.popen.stdin is not None
        self.popen.stdin.close()

    def shown(self) -> str:
        """The end of its output, for a message."""
        return f"[{self.name}]\n{self.out[-2_000:]}{self.err[-4_000:]}"


class Fleet:
    """A working folder, an environment, a simulated provider, and the commands that were started there."""

    def __init__(self, folder: Path, redis_url: str | None, redis: Any) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.redis = redis
        self.redis_url = redis_url
        self.commands: list[Command] = []
        self._mark = f"GENFLEET_TEST={uuid.uuid4().hex}"
        self._output = folder / "output"
        self._output.mkdir()
        self._numbers = itertools.count(1)
        self._stack = ExitStack()
        self.declare()
        (folder / "recipes").mkdir()
        self.recipe()
        ours = ("REDIS_URL", "MAX_CONCURRENT", "BATCH_DELAY_MS", "TEMPERATURE", "MAX_TOKENS", "HF_TOKEN")
        dropped = (*ours, "FLOWER_BASIC_AUTH", "OPENROUTER_API_KEY", "OPENAI_API_KEY", "GENFLEET_PARENT")
        self.env = {name: value for name, value in os.environ.items() if name not in dropped} | {
            "GENFLEET_DATA": str(self.data),
            "GENFLEET_MODELS": str(folder / "models.toml"),
            "GENFLEET_RECIPES": str(folder / "recipes"),
            "OPENROUTER_API_KEY": "sk-or-test",
            "OPENAI_API_KEY": "sk-test",
            "PYTHONUNBUFFERED": "1",
            **dict([self._mark.split("=")]),
        }
        if redis_url is not None:
            self.env["REDIS_URL"] = redis_url
        self.provide()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for command in reversed(self.commands):
            if command.runs:
                command.send(signal.SIGTERM)
        try:
            # Whoever lost its parent notices within a second, and lets its calls in flight end.
            self.provider.control(latency_seconds=0.0)
            self.until(lambda: not self.left(), "every process has ended", 30)
        finally:
            # Only what carries this test's own mark.
            for pid in self.left():
                os.kill(pid, signal.SIGKILL)
            for command in self.commands:
                command.kill()
            self._stack.close()
        if error is not None:
            print("\n".join(command.shown() for command in self.commands))

    def declare(self, limits: dict[str, dict[str, int]] | None = None) -> None:
        """Writes the models file: these limits of these models, and of what they leave out such as no test meets."""
        tables = []
        for name in (MODEL, OPENAI_MODEL, OTHER_MODEL):
            figures = ", ".join(f"{key} = {value}" for key, value in (_UNMET | (limits or {}).get(name, {})).items())
            tables.append(f'[models."{name}"]\nlimits = {{ {figures} }}\n')
        (self.folder / "models.toml").write_text("\n".join(tables))

    def recipe(self, timeout: float = 60, model: str = MODEL, name: str = "small", more: str = "") -> None:
        """Writes the user's recipe into the recipes' folder."""
        text = small_recipe(model, timeout).replace('name = "small"', f'name = "{name}"')
        (self.folder / "recipes" / f"{name}.toml").write_text(text + more)

    def provide(self, answer: Any = small_answer, **settings: Any) -> None:
        """Puts a provider of these settings in the place of the one there was."""
        self._stack.close()
        prices = {name: model.price for name, model in load_models().items()}
        self.provider = SimulatedProvider(ProviderSettings(prices=prices, **settings), answer)
        self._stack.enter_context(self.provider)
        self.env |= {
            "OPENROUTER_BASE_URL": self.provider.base_url,
            "OPENAI_BASE_URL": self.provider.openai_base_url,
        }

    def start(self, *arguments: str, **env: str) -> Command:
        """Starts `genfleet` with these arguments; `env` are variables of its own, an empty one is left out."""
        return self.python(["-m", "console", *arguments], arguments[0], env)

    def python(self, arguments: list[str], name: str, env: dict[str, str] | None = None) -> Command:
        """Starts Python with these arguments; the name is its output's."""
        name = f"{next(self._numbers):02d}-{name}"
        environment = {key: value for key, value in (self.env | (env or {})).items() if value}
        command = Command([sys.executable, *arguments], self._output, environment, name, self.folder)
        self.commands.append(command)
        return command

    def genfleet(
        self, *arguments: str, code: int | None = 0, stdin: bytes = b"", seconds: float = 90, **env: str
    ) -> Done:
        """Runs `genfleet` to its end, which must be of that exit code."""
        command = self.start(*arguments, **env)
        if stdin:
            command.write(stdin)
        done = command.wait(seconds)
        assert code is None or done.code == code, f"exit code {done.code}, not {code}\n{command.shown()}"
        return done

    def celery(self, *arguments: str, name: str = "celery", **env: str) -> Command:
        """Starts `celery -A workers` with these arguments."""
        return self.python(["-m", "celery", "-A", "workers", *arguments], name, env)

    def worker(self, processes: int = 2, concurrency: int = 50, **env: str) -> Command:
        """Starts `genfleet worker` for the one model that most tests use."""
        figures = ("--processes", str(processes), "--concurrency", str(concurrency))
        return self.start("worker", *figures, "--model", MODEL, **env)

    def plain_worker(self, name: str, concurrency: int = 20, **env: str) -> Command:
        """Starts a worker of Celery's own."""
        figures = ("-c", str(concurrency), "-Q", QUEUE, "-n", f"{name}@test", "--loglevel", "WARNING")
        return self.celery("worker", "-P", "threads", *figures, name=f"worker-{name}", **env)

    def submit(self, recipe: str = "small", *arguments: str) -> str:
        """Submits a job and gives its id."""
        return self.genfleet("submit", recipe, *arguments).out.strip()

    def status(self, job: str) -> jobs.Status:
        """One reading of a job."""
        return status_of(self.redis, job)

    def parts(self, job: str, kind: Kind) -> list[dict[str, Any]]:
        """What was collected of a job."""
        return list(Parts(self.data / "jobs" / job).iterate(kind))

    def until(self, condition: Callable[[], T | None], what: str, seconds: float = 90) -> T:
        """Waits for what must come to pass, and gives it."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                outputs = "\n".join(command.shown() for command in self.commands)
                raise AssertionError(f"not after {seconds:g} s: {what}\n{outputs}\n{self._ledger()}")
            time.sleep(0.05)
        return value

    def _ledger(self) -> str:
        """What the ledger and the queues hold: who waits in vain is seen there."""
        if self.redis is None:
            return ""
        look = {b"hash": self.redis.hgetall, b"set": self.redis.smembers, b"list": self.redis.llen}
        lines: list[str] = []
        with suppress(redis_py.RedisError):  # it may be what the test has ended
            for key in sorted(self.redis.scan_iter()):
                kind = self.redis.type(key)
                lines.append(f"{key.decode()}: {str(look.get(kind, self.redis.type)(key))[:2000]}")
        return "\n".join(lines)

    def until_joined(self, workers: int) -> None:
        """Waits until so many worker processes take tasks."""
        self.until(lambda: self.redis.scard(keys.WORKERS) == workers, f"{workers} worker processes have joined")

    def until_state(self, job: str, state: str, seconds: float = 90) -> jobs.Status:
        """Waits until the job is in that state, and gives the reading."""
        return self._until_status(job, lambda status: status.state == state, f"{job} is {state}", seconds)

    def until_settled(self, job: str, count: int) -> jobs.Status:
        """Waits until so many of the job's examples are settled, and gives the reading."""
        return self._until_status(job, lambda status: status.settled >= count, f"{count} of {job} are settled", 90)

    def _until_status(
        self, job: str, condition: Callable[[jobs.Status], bool], what: str, seconds: float
    ) -> jobs.Status:
        return self.until(lambda: found if condition(found := self.status(job)) else None, what, seconds)

    def hold_calls(self, job: str, in_flight: int, seconds: float = 10.0) -> None:
        """Lets calls take so long that for a while none ends, so that it is known which are in flight."""
        self.provider.control(latency_seconds=seconds, latency_sigma=0.0)

        def held() -> bool:
            now, microseconds = self.redis.time()
            second_ago = (now - 1) * 1_000_000 + microseconds
            began = [int(lease.split()[4]) for lease in self.redis.hvals(keys.job(job, "leases"))]
            slow = len(began) == in_flight and max(began) < second_ago
            return slow and self.status(job).attempts == self.billed("calls")

        self.until(held, f"{in_flight} slow calls are in flight and all others are settled")

    def billed(self, key: str = "cost_nano_usd") -> int:
        """A figure of the provider's bill."""
        return int(self.provider.bill()[key])

    def children(self, pid: int) -> list[int]:
        """The process ids of a process's own children."""
        return [child for child in self.left() if _parent(child) == pid]

    def kill_all(self) -> None:
        """Ends every process at once, for a test that is over and has slow calls in flight."""
        while left := self.left():
            for pid in left:
                # Some of them end by themselves meanwhile.
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for command in self.commands:
                command.popen.poll()
            time.sleep(0.05)

    def left(self) -> list[int]:
        """The processes that this fleet's commands are, or have started, and that have not ended."""
        return [int(folder.name) for folder in processes() if self._mark in environment_of(folder)]


def processes() -> Iterator[Path]:
    """The folder of every process of this machine."""
    return (folder for folder in Path("/proc").iterdir() if folder.name.isdecimal())


def environment_of(folder: Path) -> list[str]:
    """The variables that a process was started with; none where it has ended or is another's."""
    try:
        return (folder / "environ").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        # The name, in parentheses, may itself hold blanks and parentheses.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
