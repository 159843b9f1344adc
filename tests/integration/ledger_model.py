"""How a model's limits should be kept, in plain Python: what the scripts are compared with after every step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ledger_bench import ADMIT, MICROSECONDS, constants

from ledger.leases import Wait

LEARN = constants("settle")
SLOT = int(ADMIT["SLOT"])
KEPT = math.ceil(ADMIT["WINDOW"] * MICROSECONDS / SLOT)
"""Slots for which a call counts after its own."""


def kept(number: float) -> float:
    """As the ledger keeps a level or a share: with 14 digits."""
    return float(f"{number:.14g}")


def kept_turn(turn: float) -> float:
    """As the ledger keeps a turn: to the nanosecond."""
    return float(f"{turn:.9f}")


@dataclass(eq=False)
class Call:
    """One that was admitted: when, and what it counts as in its minute."""

    at: int
    expected: int
    variance: int
    tokens: int
    requests: int = 1

    @property
    def slot(self) -> int:
        """The tenth of a second in which it was admitted."""
        return self.at // SLOT


@dataclass
class Place:
    """A line that was told to wait: its turn, what its call is expected to use, and until when it is kept."""

    job: str
    turn: float
    tokens: int
    until: int


@dataclass
class Share:
    """A job's part in a model: twice the weight is twice the calls."""

    weight: float = 1.0
    turn: float = 0.0


@dataclass
class Request:
    """What a line asks for."""

    line: str
    job: str
    share: Share
    expected: int
    variance: int


@dataclass
class Flow:
    """A model's limits and how far they are used; times in microseconds."""

    rpm: float | None = None
    tpm: float | None = None
    concurrent: int | None = None
    guess: float | None = None
    requests: float | None = None
    """Level of the bucket, None before the first call."""
    tokens: float | None = None
    at: int | None = None
    minute: list[Call] = field(default_factory=list)
    tail: int | None = None
    live: list[Call] = field(default_factory=list)
    pause: int = 0
    paused_at: int = 0
    streak: int = 0
    streak_at: int = 0
    told_until: int = 0
    cut: int | None = None
    factor: float = 1.0
    top: float = 0.0
    idle: int = 0
    since: int = 0
    last_share: float = 1.0
    """Of the limit, when the last call was admitted."""
    turn: float = 0.0
    places: dict[str, Place] = field(default_factory=dict)

    # What people change

    def change(self, rpm: float | None, tpm: float | None, concurrent: int | None) -> None:
        """Other limits: the minute is counted anew, and what refusals have taught is void."""
        if (rpm, tpm, concurrent) == (self.rpm, self.tpm, self.concurrent):
            return
        self.rpm, self.tpm, self.concurrent = rpm, tpm, concurrent
        self.minute, self.tail = [], None
        self.cut, self.factor, self.since, self.guess = None, 1.0, 0, None
        self.top, self.idle = 0.0, 0

    def weigh(self, job: str, share: Share, weight: float) -> None:
        """Another weight: turns that were taken with the old one are so much nearer to the model's, or further."""

        def moved(turn: float) -> float:
            return self.turn + max(0.0, turn - self.turn) * share.weight / weight

        for place in self.places.values():
            if place.job == job:
                place.turn = moved(place.turn)
        if share.turn:
            share.turn = kept_turn(moved(share.turn))
        share.weight = weight

    # What is in force at this moment

    @property
    def in_force(self) -> float | None:
        """The limit on requests: declared, or guessed where nobody has named any limit."""
        return self.guess if self.rpm is None and self.tpm is None else self.rpm

    def share(self, now: int) -> float:
        """Of the limit: what the last cut has left, and what time of use has won back since."""
        if self.cut is None:
            return self.factor
        used = max(0, now - self.cut - self.idle) / MICROSECONDS
        top = max(self.factor, self.top)
        used = min(used, self.since / ADMIT["CALLS_A_SECOND"] * top / self.factor)
        grown = self.factor + top * (ADMIT["RECOVERY"] * used + (used / ADMIT["DOUBLING"]) ** 3)
        named = self.rpm is not None or self.tpm is not None or self.guess is None
        return min(1.0, grown) if named else grown

    def level(self, level: float | None, limit: float, first: float, now: int) -> tuple[float, float, float]:
        """A bucket's level now, its rate and its burst."""
        rate = limit / ADMIT["WINDOW"] * self.share(now)
        burst = rate * ADMIT["BURST"]
        level = min(first, burst) if level is None else level
        if level < burst:
            level = min(burst, level + rate * (max(0, now - (now if self.at is None else self.at)) / MICROSECONDS))
        return min(level, rate * ADMIT["CREDIT"] + first), rate, burst

    @property
    def doubt(self) -> int:
        """The sum of the variances of calls in flight."""
        return sum(call.variance for call in self.live)

    def used(self, kind: str) -> int:
        """Of the minute, as far as it has been looked at."""
        return sum(call.requests if kind == "r" else call.tokens for call in self.minute)

    def tidy(self, now: int) -> None:
        """Forgets what has left the minute."""
        oldest = now // SLOT - KEPT
        self.tail = max(oldest, now // SLOT if self.tail is None else self.tail)
        self.minute = [call for call in self.minute if call.slot >= oldest]

    def leaves(self, kind: str, amount: float, now: int) -> float:
        """Seconds until so much of the minute has left it."""
        gone = 0
        for call in sorted(self.minute, key=lambda call: call.slot):
            gone += call.requests if kind == "r" else call.tokens
            if gone >= amount:
                return ((call.slot + 1 + KEPT) * SLOT - now) / MICROSECONDS
        return ADMIT["WINDOW"]

    # What lines do

    def take_turn(self, of: Share, cost: float) -> float:
        """The job's next turn, by start-time fair queueing."""
        turn = max(self.turn, of.turn)
        of.turn = turn + cost / of.weight
        return turn

    def cost(self, expected: int) -> float:
        """Of a call, in seconds of the limit that binds most."""
        rpm, window = self.in_force, ADMIT["WINDOW"]
        return max(window / rpm if rpm else 0, expected * window / self.tpm if self.tpm else 0) or 1.0

    def wait(self, request: Request, turn: float, now: int) -> Wait:
        """How long until such a call fits; no milliseconds where it does."""
        ahead = [
            place
            for line, place in self.places.items()
            if line != request.line and (place.turn < turn or (place.turn == turn and line < request.line))
        ]
        waits: list[tuple[float, str]] = [(0.0, "")]
        if (rpm := self.in_force) is not None:
            level, rate, burst = self.level(self.requests, rpm, 1, now)
            waits.append(((len(ahead) + min(1, burst) - level) / rate, "requests"))
            used = self.used("r")
            # A guess that has grown is the limit of the minute too.
            ceiling = rpm if rpm == self.rpm else rpm * max(1, self.share(now))
            if (over := used + len(ahead) + 1 - ceiling) > 0 and used > 0:
                waits.append((self.leaves("r", min(over, used), now), "requests"))
        if self.tpm is not None:
            kept_free = sum(place.tokens for place in ahead)
            level, rate, burst = self.level(self.tokens, self.tpm, request.expected, now)
            waits.append(((kept_free + min(request.expected, burst) - level) / rate, "tokens"))
            spare = ADMIT["DEVIATIONS"] * math.sqrt(self.doubt + request.variance)
            used = self.used("t")
            if (over := used + kept_free + request.expected + spare - self.tpm) > 0 and used > 0:
                waits.append((self.leaves("t", min(over, used), now), "tokens"))
        seconds, binds = max(waits, key=lambda one: one[0])
        later = int(ADMIT["LATER"]) * len(ahead)
        milliseconds = min(int(ADMIT["LONGEST"]) + later, math.ceil(seconds * 1000))
        slots = sum(place.job != request.job for place in ahead)
        poll = int(ADMIT["POLL"]) + later
        if self.concurrent is not None and len(self.live) + slots >= self.concurrent and milliseconds < poll:
            return Wait(poll, "concurrent")
        return Wait(milliseconds, binds)

    def stand(self, request: Request, turn: float, wait: Wait, now: int) -> None:
        """The line keeps its place until it should have asked again, and a little longer."""
        until = now + wait.milliseconds * 1000 + int(ADMIT["GRACE"])
        self.places[request.line] = Place(request.job, turn, request.expected, until)

    def ask(self, request: Request, now: int) -> Wait | Turn:
        """Told to wait, or that the call fits; then it is taken with `take`, or left with `leave`."""
        self.tidy(now)
        self.places = {line: place for line, place in self.places.items() if line == request.line or place.until >= now}
        stood = self.places.get(request.line)
        before = request.share.turn
        turn = self.take_turn(request.share, self.cost(request.expected)) if stood is None else stood.turn
        if self.pause > now:
            wait = Wait(min(int(ADMIT["LONGEST"]), math.ceil((self.pause - now) / 1000)), "pause")
        else:
            wait = self.wait(request, turn, now)
        if wait.milliseconds > 0:
            self.stand(request, turn, wait, now)
            request.share.turn = kept_turn(request.share.turn)
            return wait
        return Turn(turn, before)

    def leave(self, request: Request, turn: Turn) -> None:
        """There is no money for the call: the line holds nobody back and loses nothing."""
        self.places.pop(request.line, None)
        request.share.turn = turn.before

    def take(self, request: Request, turn: Turn, now: int, *, more: bool) -> tuple[Call, Wait | None]:
        """The call is admitted; with `more` the answer says when the next of the line may ask."""
        rpm, share = self.in_force, self.share(now)
        requests, tokens = 0.0, 0.0
        if rpm is not None:
            requests = self.level(self.requests, rpm, 1, now)[0] - 1
        if self.tpm is not None:
            tokens = self.level(self.tokens, self.tpm, request.expected, now)[0] - request.expected
        self.requests, self.tokens, self.at = requests, tokens, now
        call = Call(now, request.expected, request.variance, request.expected)
        self.minute.append(call)
        self.live.append(call)
        self.turn = max(self.turn, turn.turn)
        wait = None
        if more:
            nxt = self.take_turn(request.share, self.cost(request.expected))
            wait = self.wait(request, nxt, now)
            self.stand(request, nxt, wait, now)
        else:
            self.places.pop(request.line, None)
        request.share.turn = kept_turn(request.share.turn)
        self.requests, self.tokens, self.turn = kept(requests), kept(tokens), kept_turn(self.turn)
        self.since += 1
        self.last_share = kept(share)
        return call, None if wait is None or wait.milliseconds == 0 else wait

    # How calls end

    def end(self, call: Call, used: int | None) -> None:
        """It has used so many tokens; None where that is not known."""
        self.live.remove(call)
        if self.streak:
            self.streak = 0
            if call.at > self.streak_at:
                first = self.paused_at + round(LEARN["PAUSE"] * MICROSECONDS)
                self.pause = min(self.pause, max(self.told_until, first))
        if used is not None:
            self.correct(call, used)

    def correct(self, call: Call, used: int) -> None:
        """What was expected is replaced by what was used, in the bucket and in the call's own minute."""
        if self.tpm is not None:
            self.tokens = (self.tokens or 0.0) + call.tokens - used
        call.tokens = used

    def lost(self, call: Call) -> None:
        """Its worker has died: it keeps what was expected."""
        self.live.remove(call)

    def refused(self, call: Call, retry_after_ms: int, now: int) -> None:
        """A 429: it used nothing, and the model is left alone for a while, twice as long each time if not told."""
        self.live.remove(call)
        self.correct(call, 0)
        call.requests = 0
        if retry_after_ms == 0:
            if call.at > self.paused_at:
                self.streak += 1
                self.streak_at = self.paused_at
            seconds = min(LEARN["LONGEST_PAUSE"], LEARN["PAUSE"] * 2.0 ** max(0, self.streak - 1))
            retry_after_ms = round(seconds * 1000)
        else:
            self.told_until = max(self.told_until, now + retry_after_ms * 1000)
        self.pause, self.paused_at = max(self.pause, now + retry_after_ms * 1000), now


@dataclass(frozen=True)
class Turn:
    """A call fits now; `before` is what the job's turn was before it asked."""

    turn: float
    before: float
