"""Other projects' systems, each in an environment of its own, because what they pin clashes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.scenarios import Scenario
from benchmarks.systems.base import Outcome, System, driven

#: Where `make bench-peers` puts them.
ENVIRONMENTS = Path(__file__).absolute().parents[2] / ".venv-peers"

#: They report home unless told not to, and here nobody answers.
_QUIET = {
    "TELEMETRY_ENABLED": "false",
    "NEMO_TELEMETRY_ENABLED": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HF_HUB_OFFLINE": "1",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
}


class Peer(System):
    """A driver in `benchmarks/peers`, run by the Python of its environment.

    Attributes:
        declares: whether it can be told the limits per minute.
    """

    def __init__(self, name: str, environment: str, driver: str, *, declares: bool) -> None:
        self.name = name
        self.declares = declares
        self._python = ENVIRONMENTS / environment / "bin" / "python"
        self._driver = f"benchmarks.peers.{driver}"

    def run(self, bench: Bench) -> Outcome:
        """As `System.run`."""
        return driven(bench, str(self._python), self._driver, **_QUIET)

    def missing(self) -> str | None:
        """Why it cannot run on this machine at all, or None."""
        return None if self._python.exists() else "not installed; `make bench-peers` installs it"

    def unfit(self, scenario: Scenario) -> str | None:
        """Why it cannot be put to this scenario, or None."""
        if scenario.number == 6 and not self.declares:
            return "no limit per minute can be declared to it; see scenario 7"
        return None

    def start_seconds(self) -> float:
        """About how long it takes to its first call, for the forecast."""
        return 12.0


PEERS = (
    Peer("curator", "curator", "curator", declares=True),
    Peer("litellm", "litellm", "litellm_router", declares=True),
    Peer("data-designer", "data_designer", "data_designer", declares=False),
)
