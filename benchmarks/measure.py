"""What an audit shows: how much of a limit was used, and whether any minute went over it. No clock, no network."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal, NamedTuple

#: The three kinds of limit, as the provider names the figure that each one bounds.
Kind = Literal["requests", "tokens", "concurrent"]


class Admission(NamedTuple):
    """A call that the provider let in.

    Attributes:
        t: seconds of the monotonic clock.
        seconds: from admission to answer.
        tokens: what it took from the tokens per minute.
    """

    t: float
    seconds: float
    tokens: int


class Step(NamedTuple):
    """A limit from the time `t` on: per minute, or calls in flight; the first one holds before its `t` too."""

    t: float
    limit: float


class Worst(NamedTuple):
    """The fullest window: what was admitted in it, and that as a share of what the limit allows in its time."""

    amount: float
    share: float


def admissions(audit: Iterable[Mapping[str, Any]]) -> list[Admission]:
    """The calls of an audit that were let in, in the order of their arrival."""
    calls = (Admission(call["t"], call["seconds"], call["debited_tokens"]) for call in audit if call["id"])
    return sorted(calls)


def refused(audit: Iterable[Mapping[str, Any]]) -> int:
    """The calls of an audit that were answered with a 429."""
    return sum(call["refused_by"] is not None for call in audit)


def limit_at(steps: Sequence[Step], t: float) -> float:
    """The limit in force at that time."""
    return next((step.limit for step in reversed(steps) if step.t <= t), steps[0].limit)


def integral(steps: Sequence[Step], begin: float, end: float) -> float:
    """The limit times the time from `begin` to `end`, in limit x seconds."""
    total = 0.0
    for number, step in enumerate(steps):
        since = begin if number == 0 else max(begin, step.t)
        until = steps[number + 1].t if number + 1 < len(steps) else end
        total += step.limit * max(0.0, min(end, until) - since)
    return total


def allowed(steps: Sequence[Step], kind: Kind, begin: float, end: float) -> float:
    """What the limit allows from `begin` to `end`: requests, tokens, or seconds of calls in flight."""
    return integral(steps, begin, end) / (1 if kind == "concurrent" else 60)


def used(calls: Sequence[Admission], kind: Kind) -> float:
    """What was used between the first admission and the last: requests, tokens, or seconds of calls in flight.

    The last call is paid for by the time after it, so it does not count.
    """
    if kind == "concurrent":
        end = calls[-1].t
        return sum(min(call.t + call.seconds, end) - call.t for call in calls)
    return sum(weight(call, kind) for call in calls[:-1])


def used_share(calls: Sequence[Admission], kind: Kind, steps: Sequence[Step], settle_seconds: float = 0) -> float:
    """The share of the limit that was used between the first admission and the last.

    Args:
        calls: in the order of their admission.
        kind: which limit.
        steps: that limit over time.
        settle_seconds: this much is left out from the first admission on.

    Returns:
        1.0 where all of it was used; somewhat more where the provider's burst was, and nan below two calls.
    """
    late = [call for call in calls if call.t >= calls[0].t + settle_seconds]
    if len(late) < 2 or late[-1].t <= late[0].t:
        return float("nan")
    begin, end = late[0].t, late[-1].t
    # Calls that began before the settled part are in flight in it too.
    early = [call._replace(t=begin, seconds=call.t + call.seconds - begin) for call in calls if call.t < begin]
    running = [call for call in early if call.seconds > 0] if kind == "concurrent" else []
    return used([*running, *late], kind) / allowed(steps, kind, begin, end)


def worst_window(calls: Sequence[Admission], kind: Kind, steps: Sequence[Step], seconds: float = 60) -> Worst:
    """The fullest window of that many seconds at any offset, for requests or tokens.

    The limit is that of the window's whole time, so a job shorter than the window fills it only in part.
    """
    times = [call.t for call in calls]
    sums = [0.0, *accumulate(weight(call, kind) for call in calls)]
    worst = Worst(0.0, 0.0)

    def look(begin: float, first: int, last: int) -> Worst:
        amount = sums[last] - sums[first]
        room = allowed(steps, kind, begin, begin + seconds)
        return max(worst, Worst(amount, amount / room), key=lambda found: found.share)

    # What a window holds changes only where it begins or ends at a call, what it allows bends only at a step.
    changes = [step.t for step in steps[1:]]
    for begin in [*times, *changes, *(t - seconds for t in changes)]:
        worst = look(begin, bisect_left(times, begin), bisect_left(times, begin + seconds))
    for end in times:
        worst = look(end - seconds, bisect_right(times, end - seconds), bisect_right(times, end))
    return worst


def weight(call: Admission, kind: Kind) -> float:
    """What a call takes of a limit per minute."""
    return call.tokens if kind == "tokens" else 1


def in_flight(calls: Sequence[Admission]) -> list[tuple[float, int]]:
    """How many calls are in flight from each time on, in the order of time."""
    ends = ((call.t + call.seconds, -1) for call in calls)
    moves = sorted([*((call.t, 1) for call in calls), *ends])
    counts = accumulate(move for _, move in moves)
    return [(t, count) for (t, _), count in zip(moves, counts, strict=True)]
