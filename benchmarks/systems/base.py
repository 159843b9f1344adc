"""What a system is to the benchmark."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import MODEL, Bench
from benchmarks.scenarios import MAX_TOKENS, Scenario


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        answered: examples that have a model's answer at the end, be it one that was cut.
        how: the settings that matter, in a few words.
        waits: seconds of waiting by cause as the system itself counted them, the mean of its processes; empty where
            it counts none.
    """

    answered: int
    how: str
    waits: dict[str, float]


class System(ABC):
    """One way to have all examples answered.

    Attributes:
        name: as `--system` takes it.
    """

    name: str

    @abstractmethod
    def run(self, bench: Bench) -> Outcome:
        """Has all examples of the scenario answered; returns when it is done.

        Raises:
            RunFailed: it could not.
        """

    def missing(self) -> str | None:
        """Why it cannot run on this machine at all, or None."""
        return None

    def unfit(self, scenario: Scenario) -> str | None:
        """Why it cannot be put to this scenario, or None."""
        return None

    def tell(self, bench: Bench, limits: dict[str, float]) -> bool:
        """Makes other limits known to it while it runs; False where there is no way to."""
        return False

    def start_seconds(self) -> float:
        """About how long it takes to its first call, for the forecast."""
        return 5.0


def task(bench: Bench) -> dict[str, Any]:
    """What a driver script is told, as one JSON object on its command line."""
    scenario = bench.scenario
    return {
        "base_url": bench.base_url,
        "model": MODEL,
        "examples": scenario.examples,
        "max_tokens": MAX_TOKENS,
        "tokens_per_call": scenario.tokens_per_call,
        "latency_seconds": scenario.latency_seconds,
        "folder": str(bench.folder),
        "limits": scenario.declared.model_dump(exclude_none=True),
    }


def driven(bench: Bench, python: str, module: str, **env: str) -> Outcome:
    """Runs a driver, which prints one JSON object with `answered` and `how` as its last line."""
    name = module.rpartition(".")[2]
    process = bench.start([python, "-m", module, json.dumps(task(bench))], name, **env)
    lines = bench.finish(process, name).strip().splitlines()
    said = json.loads(lines[-1])
    return Outcome(int(said["answered"]), str(said["how"]), {})
