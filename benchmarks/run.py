"""One system, one scenario: run it, and measure what the provider saw."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchmarks.bench import Bench, RunFailed
from benchmarks.changing import Changer
from benchmarks.gap import Gap, gap
from benchmarks.measure import Admission, Kind, Step, admissions, refused, used_share, worst_window
from benchmarks.scenarios import BURST_SECONDS, Scenario, limit_of
from benchmarks.systems.base import Outcome, System

_WINDOW_SECONDS = 60.0


@dataclass(frozen=True)
class Run:
    """What one run came to.

    Attributes:
        failed: why it came to nothing, or not to its end.
        used_share: of the binding limit, see `measure.used_share`.
        refused: 429s.
        lost: examples without an answer at the end; None where the run was not let come to its end.
        seconds: from the first call to the last answer.
        start_seconds: from the system's start to its first call.
        cpu_ms: CPU per example of all of the system's processes from their start on.
        cpu_running_ms: the same from the first call to the last answer, without what starting them costs.
        worst_requests, worst_tokens: the fullest minute at any offset, as a share of the limit; None without one.
        whole_window: whether the run lasted a minute, so that a minute could be full.
        tokens_per_call: what a call took from the tokens per minute.
    """

    scenario: int
    system: str
    failed: str | None = None
    used_share: float = math.nan
    refused: int = 0
    lost: int | None = None
    seconds: float = math.nan
    start_seconds: float = math.nan
    cpu_ms: float = math.nan
    cpu_running_ms: float = math.nan
    worst_requests: float | None = None
    worst_tokens: float | None = None
    whole_window: bool = False
    tokens_per_call: float = math.nan
    calls: int = 0
    how: str = ""
    gap: Gap | None = None
    waits: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = asdict(self)
        found["gap"] = None if self.gap is None else self.gap._asdict()
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value for name, value in found.items()
        }


def most_seconds(scenario: Scenario) -> float:
    """How long a run may take before it is ended."""
    return 60 + 3 * scenario.ideal_seconds


def measured(system: System, scenario: Scenario, watch: Callable[[Bench], None]) -> Run:
    """Runs the system; `watch` is called once there is something to look at. Never raises RunFailed."""
    failed = None
    outcome: Outcome | None = None
    begin = time.monotonic()
    with Bench(scenario, most_seconds(scenario)) as bench:
        watch(bench)
        with Changer(bench, system) as changer:
            try:
                outcome = system.run(bench)
            except RunFailed as problem:
                failed = str(problem)
        audit = bench.audit()
        run = Run(scenario.number, system.name, failed or changer.failed, refused=refused(audit))
        if outcome is not None:
            run = replace(run, lost=scenario.examples - outcome.answered, how=outcome.how, waits=outcome.waits)
        elif audit:
            answers = sum(call["status"] == 200 for call in audit)
            run = replace(run, failed=f"{run.failed}; {answers:,} of {scenario.examples:,} answered")
        calls = admissions(audit)
        if len(calls) < 2:
            return replace(run, failed=run.failed or "it made no calls")
        return _figures(run, scenario, bench, changer.steps, calls, begin)


def _figures(
    run: Run, scenario: Scenario, bench: Bench, steps: list[Step], calls: list[Admission], begin: float
) -> Run:
    first, last = calls[0].t, max(call.t + call.seconds for call in calls)
    return replace(
        run,
        used_share=used_share(calls, scenario.binds, steps, scenario.settle_seconds),
        seconds=last - first,
        start_seconds=first - begin,
        cpu_ms=bench.usage.total / scenario.examples * 1000,
        cpu_running_ms=bench.usage.between(first, last) / scenario.examples * 1000,
        worst_requests=_worst(calls, "requests", scenario, steps),
        worst_tokens=_worst(calls, "tokens", scenario, steps),
        whole_window=calls[-1].t - first >= _WINDOW_SECONDS,
        tokens_per_call=sum(call.tokens for call in calls) / len(calls),
        calls=len(calls),
        gap=gap(calls, scenario.binds, steps, BURST_SECONDS.get(scenario.binds, 0.0)),
    )


def _worst(calls: list[Admission], kind: Kind, scenario: Scenario, steps: list[Step]) -> float | None:
    """Of the declared limit, as that changes; where none is declared, of the real one."""
    limit = limit_of(scenario.declared, kind) or limit_of(scenario.real, kind)
    if limit is None:
        return None
    changing = scenario.changes and kind == scenario.binds
    return worst_window(calls, kind, steps if changing else [Step(0.0, limit)], _WINDOW_SECONDS).share
