"""How soon commands answer, workers work and a stopped fleet is gone.

    python -m benchmarks.start_stop [--repeat N]

Seconds from the start of a process, medians; each beside the least that there could be: Python alone, a bare Celery
worker. The broker and the simulated provider run on the same machine. A stop is SIGTERM to a worker with 500 calls in
flight, of 2.5 seconds each and not on the mean, or the longest of them alone would be measured; the job then goes on
with a new one, and the provider's bill tells what was paid for twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import redis
from rich.console import Console
from rich.table import Table

from benchmarks.bench import MODEL, Bench, options_of
from benchmarks.scenarios import Scenario
from benchmarks.systems.genfleet import Genfleet, prepare, write_rows
from config.models import Limits
from ledger import jobs, keys
from ledger.connection import Redis
from ledger.status import status_of

IN_FLIGHT = 500
_EXAMPLES = 2_000
_SCENARIO = Scenario(0, "start and stop", "concurrent", Limits(), Limits(), _EXAMPLES, latency_sigma=0.0)
_MOST_SECONDS = 60.0


def main() -> None:
    """Prints the figures."""
    parser = options_of(__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    console = Console(width=120)
    table = Table("", "seconds", "at the least", "")
    with Bench(_SCENARIO, 3_600) as bench:
        url = prepare(bench)
        with redis.Redis.from_url(url) as client:
            python = _median(repeat, lambda: _run(bench, "-c", "pass"))
            for words in (["--help"], ["status"]):
                taken = _median(repeat, partial(_run, bench, "-m", "console", *words))
                table.add_row(f"genfleet {' '.join(words)}", f"{taken:.2f}", f"{python:.2f}", "python -c pass")
            plain = _median(repeat, lambda: _celery_ready(bench, url))
            ours = _median(repeat, lambda: _worker_ready(bench, client))
            table.add_row("genfleet worker: it consumes", f"{ours:.2f}", f"{plain:.2f}", "celery worker of one task")
            demo = _median(min(3, repeat), lambda: _demo(bench))
            table.add_row("genfleet demo: its first example", f"{demo:.2f}", "", "")
            console.print(table)
            _stop(console, bench, client)


def _median(repeat: int, measure: Callable[[], float]) -> float:
    return median([measure() for _ in range(repeat)])


def _run(bench: Bench, *arguments: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, *arguments], cwd=bench.folder, env=bench.env, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def _celery_ready(bench: Bench, url: str) -> float:
    """Until the worker says that it is ready."""
    (bench.folder / "plain.py").write_text(
        f"from celery import Celery\napp = Celery('plain', broker='{url}')\n\n\n@app.task\ndef one(): ...\n"
    )
    command = ["celery", "-A", "plain", "worker", "-P", "threads", "-c", "100", "-Q", "plain", "-l", "INFO"]
    return _until(bench, ["-m", *command], lambda: "ready." in (bench.folder / "started.err").read_text("utf-8"))


def _worker_ready(bench: Bench, client: Redis) -> float:
    """Until its heart beats: it consumes by then."""
    client.delete(keys.WORKERS)
    command = ["-m", "console", "worker", "--processes", "1", "--concurrency", "100", "--model", MODEL]
    return _until(bench, command, lambda: bool(client.scard(keys.WORKERS)))


def _demo(bench: Bench) -> float:
    """Until an example of it is accepted. It has a broker of its own, which says in a file where it is."""
    folder = Path(tempfile.mkdtemp(dir=bench.folder))

    def accepted() -> bool:
        found = next(iter(folder.rglob("url")), None)
        if found is None or not (text := found.read_text()):
            return False
        try:
            with redis.Redis.from_url(text) as client:
                return any(status_of(client, job).accepted for job in jobs.ids(client))
        except redis.RedisError:
            return False

    env = {name: value for name, value in bench.env.items() if name not in ("REDIS_URL", "OPENAI_BASE_URL")}
    return _until(bench, ["-m", "console", "demo"], accepted, env | {"GENFLEET_DATA": str(folder)})


def _until(bench: Bench, command: list[str], condition: Callable[[], bool], env: dict[str, str] | None = None) -> float:
    """Seconds from a process's start until a condition holds; the process is then ended."""
    began = time.monotonic()
    with (bench.folder / "started.err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=bench.folder, env=env or bench.env, stdout=err, stderr=err
        )
    try:
        while not condition():
            if process.poll() is not None or time.monotonic() > began + _MOST_SECONDS:
                sys.exit(f"{' '.join(command)}: {(bench.folder / 'started.err').read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.01)
        return time.monotonic() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _stop(console: Console, bench: Bench, client: Redis) -> None:
    client.flushdb()
    rows = write_rows(bench)
    fleet = Genfleet(2, IN_FLIGHT // 2)
    worker = fleet.start_worker(bench)
    submitted = fleet.start(bench, "submit", "bench", "--rows", str(rows))
    job = bench.finish(submitted, "submit").strip()
    bench.until(lambda: bench.calls_in_flight() >= 0.98 * IN_FLIGHT, f"{IN_FLIGHT} calls are in flight")
    flying = bench.calls_in_flight()
    began = time.monotonic()
    os.kill(worker.pid, signal.SIGTERM)
    bench.until(lambda: not bench.calls_in_flight(), "no call is in flight", every=0.05)
    answered = time.monotonic() - began
    code = worker.wait(_MOST_SECONDS)
    took = time.monotonic() - began
    left = client.scard(keys.WORKERS)
    fleet.start_worker(bench)
    bench.until(lambda: status_of(client, job).state == "complete", "the job is complete", every=0.25)
    status, bill = status_of(client, job), bench.bill()
    console.print(
        f"\nSIGTERM with {flying} calls of {_SCENARIO.latency_seconds:g} s in flight: the last was answered after "
        f"{answered:.1f} s, every process gone after {took:.1f} s; exit code {code}, {left} workers left behind.\n"
        f"Then the job went on: {status.accepted + status.rejected:,} of {_EXAMPLES:,} examples settled, "
        f"{bill['billed_calls'] - _EXAMPLES:,} calls paid for twice."
    )


if __name__ == "__main__":
    main()
