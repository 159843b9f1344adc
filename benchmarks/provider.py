"""The simulated provider as a process of its own: `python -m benchmarks.provider '{"limits": {…}}'`.

`genfleet provider` has no option for the length of answers, which matters here; what serves is the same.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
from typing import Any

from console.provider.server import SimulatedProvider
from console.provider.settings import ProviderSettings
from workers.orphan import end_with_parent


def small_answer(name: str, schema: dict[str, Any] | None, messages: list[dict[str, Any]], rng: random.Random) -> str:
    """What every system asks for, made at almost no cost: the provider shares the machine with what is measured."""
    return json.dumps({"question": f"Perché {rng.random()}?", "answer": "Perché sì."}, ensure_ascii=False)


def main() -> None:
    """Prints the address without a path, then serves until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    end_with_parent()
    with SimulatedProvider(ProviderSettings.model_validate(json.loads(sys.argv[1])), small_answer) as provider:
        print(provider.root_url, flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
