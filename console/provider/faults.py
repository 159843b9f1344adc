"""What goes wrong on purpose: one fault at most for a call, drawn from the seed and the call's number."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Fault(StrEnum):
    """The faults by name; what the caller sees, and whether it pays."""

    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    OVERLOADED = "529"
    EDGE_TIMEOUT = "524"
    REQUEST_TIMEOUT = "408"
    #: No answer until the caller leaves.
    TIMEOUT = "timeout"
    #: The connection is reset instead of an answer.
    RESET = "reset"
    #: Status 200 with an error and no choices in the body.
    ERROR_IN_200 = "error_in_200"
    #: No content: not billed on OpenRouter, the prompt is billed on OpenAI.
    EMPTY = "empty"
    #: The model refuses; billed.
    REFUSED = "refused"
    #: The text is cut in half, with the finish reason "length"; billed.
    LENGTH = "length"
    #: The text is no JSON; billed.
    MALFORMED = "malformed"
    #: JSON that breaks its schema; billed.
    INVALID = "invalid"
    #: Out of credit; on OpenAI a 429 `insufficient_quota`.
    NO_CREDIT = "402"
    #: Credit for fewer tokens than `max_tokens`; on OpenAI as without any.
    LOW_CREDIT = "low_credit"
    UNAUTHORIZED = "401"
    #: A 429 that none of the limits caused.
    RATE_LIMITED = "rate_limited"


#: What `parse_faults` knows.
NAMES = tuple(fault.value for fault in Fault)
#: Answered before the limits are asked, at once.
AT_THE_DOOR = frozenset({Fault.UNAUTHORIZED, Fault.NO_CREDIT, Fault.LOW_CREDIT, Fault.RATE_LIMITED})
#: A text is made, then spoilt.
WITH_TEXT = frozenset({Fault.REFUSED, Fault.LENGTH, Fault.MALFORMED, Fault.INVALID})
#: An HTTP status instead of an answer, after the latency.
STATUSES = {
    fault: int(fault)
    for fault in (
        Fault.SERVER_ERROR,
        Fault.BAD_GATEWAY,
        Fault.UNAVAILABLE,
        Fault.OVERLOADED,
        Fault.EDGE_TIMEOUT,
        Fault.REQUEST_TIMEOUT,
    )
}


def parse_faults(text: str) -> dict[str, float]:
    """Probabilities by name from "500=0.02,timeout=0.02"; an empty text is no faults.

    Raises:
        ValueError: an unknown name, a number outside 0 to 1, or a sum above 1; one sentence.
    """
    faults: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f'faults: "{part}" is not NAME=PROBABILITY, as in 500=0.02.')
        try:
            faults[name] = float(number)
        except ValueError:
            raise ValueError(f'faults: "{number}" of {name} is not a number between 0 and 1.') from None
    return checked_faults(faults)


def checked_faults(faults: Mapping[str, float]) -> dict[str, float]:
    """The same probabilities, if they can be drawn from.

    Raises:
        ValueError: as `parse_faults`.
    """
    for name, probability in faults.items():
        if name not in NAMES:
            raise ValueError(f'faults: "{name}" is not one of {", ".join(NAMES)}.')
        if not 0 <= probability <= 1:
            raise ValueError(f"faults: {probability} of {name} is not a number between 0 and 1.")
    if math.fsum(faults.values()) > 1:
        raise ValueError(f"faults: the probabilities add up to {math.fsum(faults.values()):g}, more than 1.")
    return dict(faults)


class Luck(NamedTuple):
    """What chance holds for one call."""

    fault: Fault | None
    latency_seconds: float


def draw(
    seed: int, number: int, faults: Mapping[str, float], latency_seconds: float = 0.0, latency_sigma: float = 0.0
) -> Luck:
    """The luck of the call with that number.

    It hangs on the number and not on the request, so that a retry does not meet the same fault for ever.
    """
    chance = random.Random(f"{seed}:{number}")
    point, normal = chance.random(), chance.gauss(0.0, 1.0)
    fault = None
    for name, probability in faults.items():
        point -= probability
        if point < 0:
            fault = Fault(name)
            break
    return Luck(fault, lognormal(latency_seconds, latency_sigma, normal))


def lognormal(mean: float, sigma: float, normal: float) -> float:
    """A lognormal value of that mean, from a standard normal one."""
    return mean * math.exp(sigma * normal - sigma * sigma / 2)
