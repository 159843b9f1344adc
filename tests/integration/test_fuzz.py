"""Some inputs for every target of `make fuzz`: a clear error or a rejected example, never a traceback or a hang."""

from __future__ import annotations

from typing import Any

import pytest
from fuzz import answers, messages, models, recipes, records, rows
from fuzz.target import Target

_INPUTS = 15
TARGETS: dict[str, Target] = {}
for _module in (rows, recipes, models, messages, records, answers):
    TARGETS |= _module.TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_is_read(name: str) -> None:
    """Rows, recipes, models, prices, messages, records and answers of any bytes, near what is right and far from it."""
    assert TARGETS[name].tried(_INPUTS) >= 1


def test_whatever_stands_in_the_broker(redis_client: Any) -> None:
    """Keys of the ledger that hold anything: reading them ends in a sentence, and other jobs are still found."""
    for target in records.with_broker(redis_client).values():
        assert target.tried(_INPUTS) >= 1
