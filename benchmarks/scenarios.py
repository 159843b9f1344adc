"""What every system is put to: a provider, what is declared of it, and a job."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmarks.measure import Kind
from config.models import Limits

MAX_TOKENS = 720
#: A third of what is allowed, as a lognormal distribution: about one answer in 600 is cut.
MEAN_COMPLETION_TOKENS = 240
COMPLETION_SIGMA = 0.4
#: Of the prompt that every system sends, the schema of its answer included.
PROMPT_TOKENS = 114
LATENCY_SECONDS = 2.5
BURST_SECONDS: dict[Kind, float] = {"requests": 1.0, "tokens": 6.0}

_FIELDS: dict[Kind, str] = {
    "requests": "requests_per_minute",
    "tokens": "tokens_per_minute",
    "concurrent": "concurrent_requests",
}


@dataclass(frozen=True)
class Change:
    """The provider's limits become others, so many seconds after the first call."""

    after_seconds: float
    limits: dict[str, float]


@dataclass(frozen=True)
class Scenario:
    """One row of trials.

    Attributes:
        binds: the limit that binds.
        real: what the provider enforces; limits that do not bind are set high above need, not left out, because
            people declare them too.
        declared: what the systems are told.
        latency_seconds: of a call on the mean; `latency_sigma` is how far their logarithms lie around it.
        settle_seconds: at the beginning left out of the used share, where a system must first find the limit.
    """

    number: int
    title: str
    binds: Kind
    real: Limits
    declared: Limits
    examples: int
    counting: Literal["actual", "reserved"] = "actual"
    changes: tuple[Change, ...] = ()
    settle_seconds: float = 0
    latency_seconds: float = LATENCY_SECONDS
    latency_sigma: float = 0.4
    note: str = field(default="", compare=False)

    @property
    def tokens_per_call(self) -> int:
        """What a call takes from the tokens per minute, on the mean."""
        return PROMPT_TOKENS + (MAX_TOKENS if self.counting == "reserved" else MEAN_COMPLETION_TOKENS)

    @property
    def calls_per_minute(self) -> float:
        """What the binding limit allows."""
        limit = limit_of(self.real, self.binds) or 0
        if self.binds == "concurrent":
            return limit * 60 / self.latency_seconds
        return limit / (self.tokens_per_call if self.binds == "tokens" else 1)

    @property
    def ideal_seconds(self) -> float:
        """How long the examples take if all of the limit is used."""
        if not self.changes:
            return self.examples * 60 / self.calls_per_minute
        seconds, left, limit = 0.0, float(self.examples), self.calls_per_minute
        for change in self.changes:
            left -= (change.after_seconds - seconds) * limit / 60
            seconds, limit = change.after_seconds, change.limits[_FIELDS[self.binds]]
        return seconds + max(0.0, left) * 60 / limit

    def sized(self, examples: int) -> Scenario:
        """The same with another number of examples."""
        return replace(self, examples=examples)

    def provider(self) -> dict[str, Any]:
        """Settings of the simulated provider."""
        return {
            "limits": self.real.model_dump(exclude_none=True),
            "token_counting": self.counting,
            "burst_seconds_requests": BURST_SECONDS["requests"],
            "burst_seconds_tokens": BURST_SECONDS["tokens"],
            "latency_seconds": self.latency_seconds,
            "latency_sigma": self.latency_sigma,
            "mean_completion_tokens": MEAN_COMPLETION_TOKENS,
            "completion_sigma": COMPLETION_SIGMA,
        }


def limit_field(kind: Kind) -> str:
    """Its name among the limits."""
    return _FIELDS[kind]


def limit_of(limits: Limits, kind: Kind) -> float | None:
    """One of the limits."""
    value: float | None = getattr(limits, _FIELDS[kind])
    return value


def _limits(rpm: float, tpm: float, concurrent: int | None = None) -> Limits:
    return Limits(requests_per_minute=rpm, tokens_per_minute=tpm, concurrent_requests=concurrent)


_REQUESTS = _limits(1_200, 3_000_000)
_TOKENS = _limits(12_000, 300_000)

SCENARIOS = (
    Scenario(1, "requests bind: 1,200/min", "requests", _REQUESTS, _REQUESTS, 800),
    Scenario(2, "tokens bind: 300,000/min", "tokens", _TOKENS, _TOKENS, 800),
    Scenario(
        3,
        "concurrency binds: 60 calls in flight",
        "concurrent",
        _limits(12_000, 3_000_000, 60),
        _limits(12_000, 3_000_000, 60),
        1_200,
    ),
    Scenario(
        4,
        "tokens bind, max_tokens is debited at admission: 600,000/min",
        "tokens",
        _limits(12_000, 600_000),
        _limits(12_000, 600_000),
        600,
        counting="reserved",
    ),
    Scenario(
        5,
        "requests bind: 1,200/min, halved from second 15 to second 35",
        "requests",
        _REQUESTS,
        _REQUESTS,
        800,
        changes=(
            Change(15, {"requests_per_minute": 600}),
            Change(35, {"requests_per_minute": 1_200}),
        ),
        note="genfleet is told at the same moment by `genfleet limits`; the others cannot be told while they run.",
    ),
    Scenario(
        6,
        "declared 2,400 requests/min, real 1,200",
        "requests",
        _REQUESTS,
        _limits(2_400, 3_000_000),
        3_400,
        settle_seconds=60,
        note="The used share is of the real limit, from 60 s after the first call on.",
    ),
    Scenario(
        7,
        "declared nothing, real 1,200 requests/min",
        "requests",
        _REQUESTS,
        Limits(),
        3_400,
        settle_seconds=60,
        note="The used share is of the real limit, from 60 s after the first call on.",
    ),
)


def quick(scenario: Scenario) -> Scenario:
    """The same in about a third of the time: to see that all of it works, not to compare."""
    return replace(
        scenario,
        examples=scenario.examples // 3,
        settle_seconds=scenario.settle_seconds / 3,
        changes=tuple(replace(change, after_seconds=change.after_seconds / 3) for change in scenario.changes),
    )
