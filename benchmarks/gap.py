"""Where the part of a limit that was not used went, from the audit alone: the provider's bucket, replayed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from benchmarks.measure import Admission, Kind, Step, allowed, in_flight, limit_at, used, weight

#: The first and the last seconds of a job count as its start and its end.
EDGE_SECONDS = 5.0
#: A wait between two calls that is this many times as long as the limit asks for is a stall.
STALL = 3.0


class Gap(NamedTuple):
    """What the limit allowed between the first and the last admission, and where it went.

    All in requests, tokens or seconds of calls in flight; `allowed` is the sum of all the others.

    Attributes:
        made: used by calls.
        start, end: left unused in the first and the last seconds.
        stalls: left unused where no call came for much longer than the limit asks for.
        pace: left unused between calls that came one after the other: burst allowance, margin, rounding.
        stored: what the provider's bucket held at the end more than at the beginning; negative where its burst
            was used.
        full_share: the share of the time in which its bucket was full, so that the limit ran over unused.
        calls: how many were made, without the last.
    """

    allowed: float
    made: float
    start: float
    stalls: float
    pace: float
    end: float
    stored: float
    full_share: float
    calls: int

    @property
    def ideal_calls(self) -> float:
        """How many calls of the same size would have used all of it."""
        return self.calls * self.allowed / self.made if self.made else float("nan")


class _Unused(NamedTuple):
    """What was left unused from `begin` to `end`; for `seconds` of it the bucket was full, or a slot was free."""

    begin: float
    end: float
    amount: float
    seconds: float
    stall: bool = False


def gap(calls: Sequence[Admission], kind: Kind, steps: Sequence[Step], burst_seconds: float) -> Gap:
    """The account of one run.

    Args:
        calls: at least two, in the order of their admission.
        kind: which limit.
        steps: the provider's limit over time.
        burst_seconds: how many seconds of the limit the provider's bucket holds; it is full at the beginning.
    """
    first, last = calls[0].t, calls[-1].t
    if kind == "concurrent":
        unused, stored = _free_slots(calls, steps), 0.0
    else:
        unused, stored = _overflow(calls, kind, steps, burst_seconds)
    parts = dict.fromkeys(("start", "stalls", "pace", "end"), 0.0)
    for one in unused:
        if one.begin < first + EDGE_SECONDS:
            name = "start"
        elif one.end > last - EDGE_SECONDS:
            name = "end"
        else:
            name = "stalls" if one.stall else "pace"
        parts[name] += one.amount
    full = sum(one.seconds for one in unused)
    return Gap(
        allowed=allowed(steps, kind, first, last),
        made=used(calls, kind),
        stored=stored,
        full_share=full / (last - first),
        calls=len(calls) - 1,
        **parts,
    )


def _overflow(
    calls: Sequence[Admission], kind: Kind, steps: Sequence[Step], burst_seconds: float
) -> tuple[list[_Unused], float]:
    """What ran over between each two calls, and how much fuller the bucket was at the end than at the beginning.

    The bucket's capacity follows the limit; what no longer fits when that shrinks runs over as well.
    """
    unused: list[_Unused] = []
    mean_gap = (calls[-1].t - calls[0].t) / (len(calls) - 1)
    level = at_start = limit_at(steps, calls[0].t) * burst_seconds / 60
    for call, following in pairwise(calls):
        taken = weight(call, kind)
        level -= taken
        over = full = 0.0
        bounds = [call.t, *(step.t for step in steps[1:] if call.t < step.t < following.t), following.t]
        for begin, end in pairwise(bounds):
            rate = limit_at(steps, begin) / 60
            level += rate * (end - begin)
            excess = max(0.0, level - rate * burst_seconds)
            level -= excess
            over += excess
            full += min(end - begin, excess / rate)
        # A large call is rightly followed by a long wait.
        due = max(mean_gap, taken / (limit_at(steps, call.t) / 60))
        unused.append(_Unused(call.t, following.t, over, full, following.t - call.t > STALL * due))
    return unused, level - at_start


def _free_slots(calls: Sequence[Admission], steps: Sequence[Step]) -> list[_Unused]:
    """The slots that were free between each two moments at which a call began or ended."""
    unused: list[_Unused] = []
    for (begin, count), (end, _) in pairwise([move for move in in_flight(calls) if move[0] <= calls[-1].t]):
        free = allowed(steps, "concurrent", begin, end) - count * (end - begin)
        unused.append(_Unused(begin, end, free, end - begin if free > 0 else 0.0))
    return unused
