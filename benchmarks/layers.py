"""Where a worker's CPU goes, by layer: one of two worker processes, 500 calls of 2.5 seconds in flight.

    python -m benchmarks.layers

py-spy looks 200 times a second at what holds the interpreter (`pip install --group profile`; it may have to be run as
root). What that tells are shares; the milliseconds are the same shares of what the workers used an example.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from benchmarks.bench import Bench, RunFailed, options_of
from benchmarks.load import CASES, run
from benchmarks.systems.genfleet import Genfleet
from benchmarks.table import print_rows

_SETTLES_SECONDS, _LOOKS_SECONDS, _PER_SECOND = 5.0, 15, 200
_MAIN = "MainThread"

#: What tells a layer: a function or a module on the stack, the first that is found.
_LAYERS = (
    ("openai and httpx2: the request is put together", ("._build_request", "FinalRequestOptions", "model_construct")),
    ("aiohttp: it is sent, and its answer received", ("(aiohttp/", "httpx_aiohttp")),
    ("openai and httpx2: the rest of a call", ("AsyncAPIClient.", "(httpx2/", "(openai/")),
    ("the answer is read, its cost", ("Client.call", "read (workers/client.py")),
    ("its output is checked, its conversation made", ("judge (workers/verdict.py",)),
    ("the request's prompt", ("build (config/request.py",)),
    (
        "admission and settlement",
        ("(ledger/", "(redis/", "(workers/clerk.py", "(workers/line.py", "(workers/patience.py"),
    ),
    ("the way of one example itself", ("(workers/generate.py", "Process._hold")),
    ("Celery: its trace, and what it tells of the end", ("apply_target",)),
)


class Seen(Genfleet):
    """genfleet, one of whose worker processes is looked at once all places hold calls.

    Attributes:
        stacks: how often each stack of functions was seen, as py-spy writes them.
    """

    def __init__(self, processes: int, concurrency: int) -> None:
        super().__init__(processes, concurrency)
        self.stacks: Counter[str] = Counter()

    def start_worker(self, bench: Bench) -> subprocess.Popen[bytes]:
        """As Genfleet's."""
        workers = super().start_worker(bench)
        threading.Thread(target=self._look, args=(bench, workers.pid), daemon=True).start()
        return workers

    def _look(self, bench: Bench, workers: int) -> None:
        while bench.calls_in_flight() < 0.9 * self.processes * self.concurrency:
            time.sleep(0.2)
        time.sleep(_SETTLES_SECONDS)
        one = Path(f"/proc/{workers}/task/{workers}/children").read_text("utf-8").split()[0]
        told = bench.folder / "stacks.txt"
        options = f"--format raw --gil --threads --rate {_PER_SECOND} --duration {_LOOKS_SECONDS}".split()
        subprocess.run(
            [str(_py_spy()), "record", "--pid", one, "--output", str(told), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        for line in told.read_text("utf-8").splitlines() if told.is_file() else []:
            stack, _, count = line.rpartition(" ")
            self.stacks[stack] += int(count)


def _py_spy() -> str | None:
    return shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def layer_of(stack: str) -> str:
    """The layer that a stack of functions, the outermost first, is in."""
    if _MAIN in stack:
        return "Celery: from the message to the task" if "_flush_events" not in stack else "Celery: events for Flower"
    return next((layer for layer, signs in _LAYERS if any(sign in stack for sign in signs)), "the event loop itself")


def main() -> None:
    """Prints the figures."""
    options_of(__doc__).parse_args()
    if _py_spy() is None:
        sys.exit("this needs py-spy, which is not found: pip install --group profile.")
    case = next(case for case in CASES if case.name == "500x2.5")
    seen = Seen(case.processes, case.in_flight // case.processes)
    try:
        cost = run(seen, case)
    except RunFailed as problem:
        sys.exit(f"it did not come to an end: {problem}")
    if not seen.stacks:
        sys.exit("py-spy saw nothing: it may only look at another process as root, or where ptrace_scope is 0.")
    shares: Counter[str] = Counter()
    for stack, count in seen.stacks.items():
        shares[layer_of(stack)] += count
    rows: list[tuple[str, ...]] = [("layer", "of a worker", "CPU ms")]
    rows += [
        (layer, f"{count / shares.total():.0%}", f"{cost.parts['workers'] * count / shares.total():.2f}")
        for layer, count in shares.most_common()
    ]
    rows.append(("all of the workers", "100%", f"{cost.parts['workers']:.2f}"))
    print_rows(rows)
    others = {name: ms for name, ms in sorted(cost.parts.items()) if name not in ("workers", "other")}
    print(", ".join(f"{name} {ms:.2f} ms" for name, ms in others.items()))


if __name__ == "__main__":
    main()
