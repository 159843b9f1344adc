"""How fast one producer enqueues, and what a million examples need of memory meanwhile.

    python -m benchmarks.enqueue [--examples N]

First as fast as it can: `genfleet submit` of 40,000 rows with room for all of them in the queue, beside Celery's own
`apply_async`, one by one and in a pipeline, of tasks that hold a row each and are written down nowhere. Then N rows of
some 200 bytes with the queue as deep as it is by default, while messages are taken as fast as they come by what stands
in for a fleet: it takes tasks off the queue and the job's list, and makes nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis
from celery import Celery
from kombu import Queue
from rich.console import Console
from rich.table import Table

from benchmarks.bench import MODEL, Bench, options_of
from benchmarks.scenarios import Scenario
from benchmarks.systems.genfleet import prepare
from config.models import Limits
from config.settings import settings
from ledger import keys
from ledger.connection import Redis
from workers.app import job_queue

TASKS = 40_000
_TEXT = "Il Regno delle Due Sicilie nacque nel 1816 dall'unione dei regni di Napoli e di Sicilia. " * 2
_TAKEN_AT_ONCE = 500
_PAUSE_SECONDS = 0.05
_SCENARIO = Scenario(0, "enqueue", "concurrent", Limits(), Limits(), 0)


def main() -> None:
    """Prints the figures."""
    parser = options_of(__doc__)
    parser.add_argument("--examples", type=int, default=1_000_000)
    examples = parser.parse_args().examples
    console = Console(width=120)
    with Bench(_SCENARIO, 3_600) as bench:
        url = prepare(bench, ("number", "text"), "Scrivi la domanda {number} su questo testo: {text}")
        with redis.Redis.from_url(url) as client:
            console.print(_rates(bench, client, url))
            console.print(_memory(bench, client, examples))


def _rates(bench: Bench, client: Redis, url: str) -> Table:
    table = Table("", "tasks/s", title=f"{TASKS:,} tasks from one process", title_justify="left")
    rows = _rows(bench.folder / "rows.jsonl", TASKS)
    app = Celery(broker=url)
    app.conf.task_ignore_result = True
    arguments = [(json.loads(line),) for line in rows.read_text("utf-8").splitlines()]
    with app.producer_pool.acquire() as producer:

        def send(one: tuple[object]) -> None:
            app.send_task("one", one, producer=producer, queue=Queue("plain"), declare=[], retry=False)

        def one_by_one() -> None:
            for one in arguments:
                send(one)

        def batches() -> None:
            with producer.batch(max_size=1_000):
                one_by_one()

        for name, work in (("Celery's apply_async, one by one", one_by_one), ("the same, pipelined", batches)):
            began = time.monotonic()
            work()
            table.add_row(name, f"{TASKS / (time.monotonic() - began):,.0f}")
    client.delete("plain")
    times: list[float] = []
    _submit(bench, client, rows, TASKS, lambda job: times.append(time.monotonic()), depth=2 * TASKS)
    took = time.monotonic() - times[0]
    client.flushdb()
    table.add_row("genfleet submit: rows read, checked, written down, enqueued", f"{TASKS / took:,.0f}")
    return table


def _memory(bench: Bench, client: Redis, examples: int) -> Table:
    rows = _rows(bench.folder / "many.jsonl", examples)
    most = {"used": 0, "job": 0}

    def drain(job: str) -> None:
        queue = job_queue(MODEL, job)
        taken = client.rpop(queue, _TAKEN_AT_ONCE) or []
        units = [json.loads(raw)["headers"]["id"].rpartition("-")[2] for raw in taken]
        if units:
            client.hdel(keys.job(job, "todo"), *units)
        most["used"] = max(most["used"], client.info("memory")["used_memory"])
        if len(taken) < _TAKEN_AT_ONCE:
            time.sleep(_PAUSE_SECONDS)  # on cores that the producer needs: a fleet has its own

    began = time.monotonic()
    peak = _submit(bench, client, rows, examples, drain)
    took = time.monotonic() - began
    size = rows.stat().st_size / 1e6
    table = Table("", "", title=f"{examples:,} examples from a file of {size:.0f} MB", title_justify="left")
    table.add_row("from the command's start to its end", f"{took:,.0f} s, {examples / took:,.0f} tasks/s")
    table.add_row("most memory of the producer", f"{peak:.0f} MB")
    table.add_row("most memory of Redis (used_memory)", f"{most['used'] / 1e6:.0f} MB")
    table.add_row("depth of the queue", f"{settings().queue_depth:,}")
    return table


def _submit(
    bench: Bench,
    client: Redis,
    rows: Path,
    examples: int,
    meanwhile: Callable[[str], object],
    depth: int | None = None,
) -> float:
    """Runs `genfleet submit`, calls `meanwhile` again and again once there is a job; gives its most MB of memory."""
    env = {} if depth is None else {"GENFLEET_QUEUE_DEPTH": str(depth)}
    command = [sys.executable, "-m", "console", "submit", "bench", "--rows", str(rows)]
    process = bench.start(command, "submit", **env)
    found: list[float] = [0.0]
    peak = threading.Thread(target=lambda: found.extend(_peaks(process)), daemon=True)
    peak.start()
    job = ""
    while process.poll() is None:
        job = job or next((raw.decode() for raw in client.zrange(keys.JOBS, 0, 0)), "")
        if job and int(client.hget(keys.job(job), "cursor") or 0):
            meanwhile(job)
        else:
            time.sleep(0.01)
    bench.finish(process, "submit")
    peak.join()
    sent = int(client.hget(keys.job(job), "cursor") or 0)
    assert sent == examples, f"{sent:,} of {examples:,} were enqueued"
    return max(found)


def _peaks(process: subprocess.Popen[bytes]) -> Iterator[float]:
    """MB of memory at most, again and again until it ends."""
    while process.poll() is None:
        try:
            said = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        except OSError:
            return
        if said:
            yield int(said[1]) * 1024 / 1e6
        time.sleep(0.2)


def _rows(path: Path, count: int) -> Path:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(
            f"{json.dumps({'number': number, 'text': _TEXT}, ensure_ascii=False)}\n" for number in range(count)
        )
    return path


if __name__ == "__main__":
    main()
