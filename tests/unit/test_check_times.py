"""The order of the times that delivery relies on."""

from __future__ import annotations

import pytest

from config.recipe import Call
from config.settings import Settings
from workers.app import SOCKET_SECONDS, VISIBILITY_SECONDS
from workers.times import check_times


def bound(model: type[Call] | type[Settings], field: str) -> float:
    """The most that a field may be."""
    return float(next(m.le for m in model.model_fields[field].metadata if hasattr(m, "le")))


@pytest.mark.usefixtures("clean")
def test_the_defaults_are_in_order() -> None:
    """A fresh clone starts."""
    assert check_times() == []


@pytest.mark.parametrize("grace", ["0", "600"])
def test_every_grace_that_settings_take_is_in_order(clean: pytest.MonkeyPatch, grace: str) -> None:
    """What the settings let through, the time order lets through."""
    clean.setenv("GENFLEET_GRACE_SECONDS", grace)
    assert check_times() == []


def test_the_longest_call_ends_before_its_message_comes_again() -> None:
    """A call, or a shutdown, with its settlement is over before the broker hands its message out again."""
    assert bound(Call, "timeout_seconds") + SOCKET_SECONDS < VISIBILITY_SECONDS
    assert bound(Settings, "grace_seconds") + SOCKET_SECONDS < VISIBILITY_SECONDS


def test_a_broken_order_is_told(clean: pytest.MonkeyPatch) -> None:
    """A visibility timeout below a call's or a shutdown's time is named with its numbers."""
    clean.setattr("workers.times.VISIBILITY_SECONDS", 60)
    calls, grace = check_times()
    assert "600 s" in calls
    assert "60 s" in calls
    assert grace.startswith("GENFLEET_GRACE_SECONDS (60) must be below 30")
