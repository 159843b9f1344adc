"""The time order without which work would be done twice: a worker that breaks it does not start."""

from __future__ import annotations

from config.recipe import LONGEST_CALL_SECONDS
from config.settings import settings
from workers.app import SOCKET_SECONDS, VISIBILITY_SECONDS


def check_times() -> list[str]:
    """What of the time order is broken, a sentence each: call < dead worker's lease taken back < redelivery."""
    grace = settings().grace_seconds
    problems = []
    if not LONGEST_CALL_SECONDS < VISIBILITY_SECONDS:
        problems.append(
            f"calls may take {LONGEST_CALL_SECONDS} s, longer than the visibility timeout of {VISIBILITY_SECONDS} s."
        )
    if not grace < VISIBILITY_SECONDS - SOCKET_SECONDS:
        problems.append(
            f"GENFLEET_GRACE_SECONDS ({grace:g}) must be below {VISIBILITY_SECONDS - SOCKET_SECONDS}: "
            "longer, and the broker hands out examples that are still being made."
        )
    return problems
