"""How much of each limit was used over a job's time, and which one held the fleet back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from config.models import Limits
from console.report.attempts import Timeline
from ledger.history import ModelReading

MINUTE = 60.0
#: Readings that a curve needs at least, and how much of the job's time may lie outside them.
_FEWEST = 6
_OUTSIDE = 0.1
_POINTS = 120
#: A limit binds in the attempts' own records where this much of it is used.
_BINDS = 0.9

NAMES = {"requests": "requests per minute", "tokens": "tokens per minute", "concurrent": "calls in flight"}


@dataclass(frozen=True)
class Use:
    """One limit: its value (the mean where it changed), and the share of it in use at moments of the job's time."""

    what: str
    limit: float
    shares: list[tuple[float, float]]
    """(seconds since the first call began, share)."""
    mean: float

    @property
    def name(self) -> str:
        """As people call it."""
        return NAMES[self.what]


@dataclass(frozen=True)
class LimitsUse:
    """The limits over a job's time.

    Attributes:
        source: `ledger` where they are the ledger's readings of the model, all its jobs together; `attempts` where
            they are computed from this job's records.
        uses: of the limits that there are.
        bound: (from, to, what), in seconds since the first call began: what held calls back.
        waited: for each cause, milliseconds that lines of workers were told to wait; None where nobody noted it.
        refused: 429s meanwhile; None where nobody counted them.
        unlimited: limits that there are none of.
    """

    source: Literal["ledger", "attempts"]
    uses: list[Use]
    bound: list[tuple[float, float, str]]
    waited: dict[str, int] | None
    refused: int | None
    unlimited: list[str]

    @property
    def waiting(self) -> int:
        """Milliseconds that lines were told to wait in all."""
        return sum((self.waited or {}).values())

    @property
    def fullest(self) -> Use | None:
        """The limit that was used most."""
        return max(self.uses, key=lambda use: use.mean, default=None)


def of_readings(readings: Sequence[ModelReading], first: float, last: float) -> LimitsUse | None:
    """The limits as the ledger read them between two moments; None where it has too few readings of that time.

    The mean share leaves out the first minute, which the count of a minute needs to fill.
    """
    inside = [one for one in readings if first <= one.at <= last + MINUTE / 4]
    uncovered = MINUTE / 4 + _OUTSIDE * (last - first)
    if len(inside) < _FEWEST or inside[0].at - first > uncovered or last - inside[-1].at > uncovered:
        return None
    uses = []
    for what, limit, used in (
        ("requests", "rpm", "requests"),
        ("tokens", "tpm", "tokens"),
        ("concurrent", "concurrent", "in_flight"),
    ):
        found = [(one.at - first, getattr(one, used), getattr(one, limit)) for one in inside if getattr(one, limit)]
        if found:
            shares = _thinned([(at, amount / bound) for at, amount, bound in found])
            settled = [share for at, share in shares if at >= MINUTE and at <= last - first] or [s for _, s in shares]
            mean_limit = sum(bound for _, _, bound in found) / len(found)
            uses.append(Use(what, mean_limit, shares, sum(settled) / len(settled)))
    before = next((one for one in reversed(readings) if one.at < first), None)
    bound, waited = _waits([*([before] if before else []), *inside], first)
    refused = inside[-1].refused - (before or inside[0]).refused
    missing = [name for what, name in NAMES.items() if what not in {use.what for use in uses}]
    return LimitsUse("ledger", uses, bound, waited, max(0, refused), missing)


def _thinned(shares: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """No more points than a chart has room for: the means of neighbours."""
    each = -(-len(shares) // _POINTS)
    groups = [shares[start : start + each] for start in range(0, len(shares), each)]
    return [(group[-1][0], sum(share for _, share in group) / len(group)) for group in groups]


def _waits(readings: Sequence[ModelReading], first: float) -> tuple[list[tuple[float, float, str]], dict[str, int]]:
    """What lines waited for, between readings and in all."""
    waited: Counter[str] = Counter()
    bound: list[tuple[float, float, str]] = []
    for one, other in pairwise(readings):
        more = {what: ms - one.waited.get(what, 0) for what, ms in other.waited.items()}
        more = {what: ms for what, ms in more.items() if ms > 0}
        waited.update(more)
        if more:
            what = max(more, key=lambda name: more[name])
            since, until = max(0.0, one.at - first), other.at - first
            if bound and bound[-1][1:] == (since, what):
                bound[-1] = (bound[-1][0], until, what)
            else:
                bound.append((since, until, what))
    return bound, dict(waited)


def of_attempts(line: Timeline, in_flight: Sequence[float], limits: Limits) -> LimitsUse:
    """The limits as this job's attempts used them, held against those in force now.

    Calls count where they ended. A limit counts as binding where nine tenths of it were used.
    """
    minutes = line.width / MINUTE
    amounts = {
        "requests": ([step.requests / minutes for step in line.steps], limits.requests_per_minute),
        "tokens": (
            [(step.prompt_tokens + step.completion_tokens) / minutes for step in line.steps],
            limits.tokens_per_minute,
        ),
        "concurrent": (list(in_flight), limits.concurrent_requests),
    }
    ends, uses = line.ends(), []
    for what, (used, limit) in amounts.items():
        if limit and used:
            shares = [amount / limit for amount in used]
            uses.append(Use(what, limit, list(zip(ends, shares, strict=True)), sum(shares) / len(shares)))
    bound: list[tuple[float, float, str]] = []
    for place, end in enumerate(ends):
        share, what = max(((use.shares[place][1], use.what) for use in uses), default=(0.0, ""))
        if share >= _BINDS:
            since = end - line.width
            if bound and bound[-1][2] == what and abs(bound[-1][1] - since) < line.width / 2:
                bound[-1] = (bound[-1][0], end, what)
            else:
                bound.append((since, end, what))
    missing = [NAMES[what] for what, (_, limit) in amounts.items() if not limit]
    return LimitsUse("attempts", uses, bound, None, None, missing)
