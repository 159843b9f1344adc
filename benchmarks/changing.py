"""The provider's limits, changed in the middle of a job."""

from __future__ import annotations

import time
from urllib.error import URLError

from benchmarks.bench import Bench, RunFailed
from benchmarks.beside import Beside
from benchmarks.measure import Step
from benchmarks.scenarios import limit_field, limit_of
from benchmarks.systems.base import System


class Changer(Beside):
    """Carries out a scenario's changes in a thread, and knows the binding limit at every time.

    Attributes:
        failed: why a change could not be carried out; None while all is well.
    """

    def __init__(self, bench: Bench, system: System) -> None:
        super().__init__()
        self._bench = bench
        self._system = system
        self.failed: str | None = None
        scenario = bench.scenario
        self._steps = [Step(0.0, limit_of(scenario.real, scenario.binds) or float("inf"))]

    @property
    def steps(self) -> list[Step]:
        """The binding limit over time, of the monotonic clock."""
        return list(self._steps)

    def _run(self) -> None:
        scenario = self._bench.scenario
        if not scenario.changes:
            return
        try:
            while not self._bench.calls_in_flight():
                if self._stop.wait(0.05):
                    return
            begin = time.monotonic()
            for change in scenario.changes:
                if self._stop.wait(max(0.0, begin + change.after_seconds - time.monotonic())):
                    return
                self._change(change.limits)
        except (RunFailed, URLError) as problem:
            self.failed = f"a limit could not be changed: {problem}"

    def _change(self, limits: dict[str, float]) -> None:
        limit = limits[limit_field(self._bench.scenario.binds)]
        # Who can be told is told before a limit falls, and after it rises: the other way round nobody could keep it.
        falls = limit < self._steps[-1].limit
        if falls:
            self._system.tell(self._bench, limits)
        self._bench.control({"limits": limits})
        self._steps.append(Step(time.monotonic(), limit))
        if not falls:
            self._system.tell(self._bench, limits)
