"""genfleet as a user runs it on several machines: broker, workers, a submitted job, a collector, all real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from benchmarks.bench import MODEL, Bench
from benchmarks.peers.common import PROMPT, SCHEMA
from benchmarks.scenarios import MAX_TOKENS
from benchmarks.systems.base import Outcome, System
from benchmarks.systems.broker import start_broker
from ledger import jobs, keys
from ledger.status import status_of

#: Answers that were paid for and that the recipe does not take: the limit has nothing to do with them.
_ANSWERED = frozenset({"rejected:length", "rejected:invalid", "rejected:refused"})
_OPTIONS = {"requests_per_minute": "--rpm", "tokens_per_minute": "--tpm", "concurrent_requests": "--concurrent"}

_RECIPE = """
name = "bench"
model = "{model}"
rows = {rows}
prompt = "{prompt}"

[output]
type = "object"
properties = {properties}
required = ["question", "answer"]
additionalProperties = false

[sampling]
max_tokens = {max_tokens}

[call]
timeout_seconds = 60

[chat]
user = "{{{{ question }}}}"
assistant = "{{{{ answer }}}}"
"""
_MODELS = """
[models."{model}"]
provider = "openai"
context_window = 16_385
max_output_tokens = 4_096
price = {{ input = 0.50, output = 1.50 }}
limits = {{ {limits} }}
token_counting = "{counting}"
structured_output = "json_schema"
sampling = ["max_tokens"]
"""


class Genfleet(System):
    """The whole fleet, with so many worker processes of so many calls in flight."""

    def __init__(self, processes: int, concurrency: int = 100) -> None:
        self.processes = processes
        self.concurrency = concurrency
        self.name = f"genfleet-{processes}"

    def run(self, bench: Bench) -> Outcome:
        """As `System.run`."""
        url = prepare(bench)
        rows = write_rows(bench)
        self.start_worker(bench)
        with redis.Redis.from_url(url) as client:
            bench.until(lambda: client.scard(keys.WORKERS) == self.processes, "all workers have joined")
            submitted = self.start(bench, "submit", "bench", "--rows", str(rows))
            bench.until(lambda: bool(jobs.ids(client)), "the job is known")
            job = jobs.find(client, None)
            # While the rest is still being enqueued: what nobody collects fills the broker.
            collected = self.start(bench, "collect", job, "--to", str(bench.folder / "results"))
            bench.finish(submitted, "submit")
            bench.finish(collected, "collect")  # which ends with the job
            status = status_of(client, job)
            answered = status.accepted + sum(status.reasons.get(reason, 0) for reason in _ANSWERED)
            waits = {cause: seconds / self.processes for cause, seconds in _waits(client).items()}
            return Outcome(answered, f"{self.processes} x {self.concurrency} calls", waits)

    def tell(self, bench: Bench, limits: dict[str, float]) -> bool:
        """By `genfleet limits`, as a person does."""
        options = [part for name, value in limits.items() for part in (_OPTIONS[name], str(value))]
        bench.finish(self.start(bench, "limits", MODEL, *options), "limits")
        return True

    def start_seconds(self) -> float:
        """About how long it takes to its first call, for the forecast."""
        return 6.0 + 2.0 * self.processes

    def start_worker(self, bench: Bench) -> subprocess.Popen[bytes]:
        """Starts `genfleet worker` with all its processes."""
        figures = ("--processes", str(self.processes), "--concurrency", str(self.concurrency), "--model", MODEL)
        return self.start(bench, "worker", *figures)

    def start(self, bench: Bench, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a command of genfleet."""
        return bench.start([sys.executable, "-m", "console", *arguments], arguments[0])


def prepare(bench: Bench, variables: Sequence[str] = ("number",), prompt: str = PROMPT) -> str:
    """Starts a broker, writes a recipe over rows and a models file, and has commands find them; gives the broker's URL.

    Args:
        variables: what a row has.
        prompt: with a place in braces for each of them.
    """
    limits = bench.scenario.declared.model_dump(exclude_none=True)
    models = _MODELS.format(
        model=MODEL,
        limits=", ".join(f"{name} = {value}" for name, value in limits.items()),
        counting=bench.scenario.counting,
    )
    (bench.folder / "models.toml").write_text(models)
    properties = ", ".join(f'{name} = {{ type = "string" }}' for name in SCHEMA["properties"])
    recipe = _RECIPE.format(
        model=MODEL,
        rows=json.dumps(list(variables)),
        prompt=prompt.format(**{name: f"{{{{ {name} }}}}" for name in variables}),
        properties=f"{{ {properties} }}",
        max_tokens=MAX_TOKENS,
    )
    (bench.folder / "recipes").mkdir()
    (bench.folder / "recipes" / "bench.toml").write_text(recipe)
    url = start_broker(bench)
    bench.env |= {
        "REDIS_URL": url,
        "GENFLEET_MODELS": str(bench.folder / "models.toml"),
        "GENFLEET_RECIPES": str(bench.folder / "recipes"),
        "GENFLEET_DATA": str(bench.folder / "data"),
    }
    return url


def write_rows(bench: Bench) -> Path:
    """A file with a row for each example of the scenario."""
    path = bench.folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"number": number}) for number in range(bench.scenario.examples)))
    return path


def _waits(client: Any) -> dict[str, float]:
    """Seconds of waiting by cause, where the ledger counts them: fields `waited_<cause>`, in milliseconds.

    In each process one line of tasks waits for the model, and what all of them were told is added up.
    """
    fields = client.hgetall(keys.model(MODEL))
    found = {name.decode().removeprefix("waited_"): value for name, value in fields.items() if name[:7] == b"waited_"}
    return {name: float(value) / 1000 for name, value in found.items()}
