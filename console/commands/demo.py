"""`genfleet demo`: the whole product on one machine, with nothing to set up and nothing to pay."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Annotated
from urllib.request import urlopen

import typer
from rich.console import Console
from rich.text import Text

from config import folders, logs
from config.logs import tell
from config.models import models
from config.money import NANO
from config.private import private_folder
from config.settings import settings, use_broker
from console.broker import broker
from console.commands.options import LogFormat
from console.export import export
from console.flower import flower
from console.interrupts import interrupts
from console.local import run_here, workers_here
from console.preview import preview
from console.progress import Progress
from console.reading.words import dollars, span
from console.services import Service, answers, free_port
from ledger import jobs
from ledger.connection import connect
from ledger.status import Status, status_of
from producers.plan import plan

_MODEL = "anthropic/claude-haiku-4.5"
_RECIPES = "chat,quiz,cloze,reasoning,function_calling,formulas,emotional_support"
#: The simulated account is a generous one, so that nobody waits for its limits.
_MODELS = f"""[models."{_MODEL}"]
limits = {{ requests_per_minute = 1_200, tokens_per_minute = 2_500_000, concurrent_requests = 100 }}
"""


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    app.command()(demo)


def demo(
    count: Annotated[int, typer.Option("--count", "-n", help="Examples to make.", min=1)] = 210,
    keep: Annotated[bool, typer.Option("--keep", help="Leave Flower and the fleet up until Ctrl-C.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="By default another one each time.")] = None,
    log_format: LogFormat = None,
) -> None:
    """Makes a dataset with no key and no server: embedded broker, simulated provider, two workers, Flower.

    Example: genfleet demo --keep
    """
    port, flower_port = free_port(), free_port()
    root = f"http://127.0.0.1:{port}"
    # This machine's own keys and broker are left alone: nothing here can cost anything.
    os.environ |= {
        "OPENROUTER_BASE_URL": f"{root}/api/v1",
        "OPENAI_BASE_URL": f"{root}/v1",
        "OPENROUTER_API_KEY": "simulated",
        "OPENAI_API_KEY": "simulated",
        "REDIS_URL": "",
    }
    data = settings().data / "demo"
    private_folder(data)
    (data / "models.toml").write_text(_MODELS)
    os.environ |= {"GENFLEET_DATA": str(data), "GENFLEET_MODELS": str(data / "models.toml")}
    settings.cache_clear()
    models.cache_clear()
    to = settings().data / "dataset.jsonl"
    with contextlib.ExitStack() as stack:
        with Progress() as progress:
            progress.wait("Starting a broker, a simulated provider, Flower and two workers")
            arguments = ["provider", "--port", str(port), "--latency", "1.0"]
            # It starts while the broker does.
            provider = Service("provider", arguments, lambda: answers(f"{root}/health"))
            stack.callback(provider.stop)
            url = stack.enter_context(broker())
            use_broker(url)
            stack.enter_context(provider)
            stack.enter_context(flower(flower_port))
            redis = connect(url)
            planned = plan(_RECIPES, count=count, model_id=_MODEL, seed=int(time.time()) if seed is None else seed)
            for left in jobs.running(redis):
                # Of a demo that was killed: its calls would stand on this one's bill.
                jobs.set_state(redis, left, "cancelled")
            paid = status_of(redis, planned.id).cost_nano_usd if planned.id in jobs.ids(redis) else 0
            seen = stack.enter_context(interrupts())
            stack.enter_context(workers_here(redis, [_MODEL], 2, 50, seen))
            progress.say(f"Flower is at http://127.0.0.1:{flower_port}, the simulated provider at {root}")
            status = run_here(redis, planned, budget_usd=None, processes=0, concurrency=50, progress=progress)
            # Imported here: numpy and templates, which other commands need not wait for.
            from console.report.after_run import report_after  # noqa: PLC0415

            report = report_after(redis, status)
        written = export(folders.job(status.job), to)
        _report(status, to, written, _bill(root) + paid)
        if report is not None:
            _fact("Report", report.removeprefix("Report: "))
        until = "up until Ctrl-C" if keep else "it ends with the demo; --keep leaves it up"
        _fact("Flower", f"http://127.0.0.1:{flower_port} ({until})")
        if keep:
            _fact("Fleet", f"REDIS_URL={url}")
            while not seen.count:
                time.sleep(0.2)
    sys.exit(0 if status.state == "complete" else 1)


def _bill(root: str) -> int:
    with urlopen(f"{root}/bill", timeout=10) as answer:  # noqa: S310  our own address
        return int(json.load(answer)["cost_nano_usd"])


def _report(status: Status, to: Path, written: int, bill: int) -> None:
    if not logs.as_json():
        _show(to)
    equal = "equal" if bill == status.cost_nano_usd else "NOT EQUAL"
    seconds = status.seconds or 1.0
    _fact("Dataset", f"{to} ({written} examples; {status.rejected} rejected)")
    _fact("Cost", f"{dollars(status.cost_usd)}; the simulated provider's own bill is {dollars(bill / NANO)} ({equal})")
    _fact("Throughput", f"{status.settled / seconds:.1f} examples/s over {span(seconds)}")


def _show(to: Path) -> None:
    console = Console(highlight=False)
    console.print("\nThree of its examples, shortened:")
    with to.open(encoding="utf-8") as dataset:
        for example in map(json.loads, islice(dataset, 3)):
            console.print("", preview(example["recipe"], example["output"], console.width), sep="\n")
    console.print()


def _fact(name: str, value: str) -> None:
    if logs.as_json():
        tell(f"{name}: {value}")
        return
    # Never wrapped: paths and addresses are there to be copied.
    Console(highlight=False).print(Text.assemble((f"{name:<10}  ", "cyan"), value), soft_wrap=True)
    sys.stdout.flush()
