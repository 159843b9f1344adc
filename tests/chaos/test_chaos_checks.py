"""Recipes whose own checks kill, hang or break the process that runs them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import bad_checks
import pytest
from chaos_run import Run, Shape

pytestmark = pytest.mark.chaos

FOUR = Shape(processes=2, concurrency=10)

RAISED = ("exit", "interrupt", "no exception", "recursion", "memory", "generator", "stop")


def _begin(run: Run, deeds: dict[int, str]) -> None:
    """The usual beginning, with checks that do something on these examples."""
    bad_checks.write(run.folder / "recipes")
    run.recipe(bad_checks.OUTPUT)
    run.submit()
    questions = run.questions()
    bad_checks.write(run.folder / "recipes", {questions[unit]: deed for unit, deed in deeds.items()})
    run.collector = run.collect()
    run.workers()


def test_a_check_kills_its_process(chaos: Callable[..., Run]) -> None:
    """An example that takes three processes with it is rejected as `poison`, and no other example is."""
    with chaos(FOUR) as run:
        _begin(run, {200: "die"})
        census = run.ends(lost_workers=True)
        assert {row["index"]: row["reason"] for row in census.disk.rejected} == {200: "poison"}


@pytest.mark.chaos(representative=True)
def test_a_check_raises_anything(chaos: Callable[..., Run]) -> None:
    """Whatever a check raises, be it an exit, its example is rejected with the reason and nothing else suffers."""
    with chaos(FOUR) as run:
        _begin(run, {20 * (k + 1): deed for k, deed in enumerate(RAISED)})
        census = run.ends()
        assert {row["index"]: row["reason"] for row in census.disk.rejected} == {
            20 * (k + 1): "invalid" for k in range(len(RAISED))
        }
        assert not census.paid_twice


@pytest.mark.parametrize("deed", ["sleep", "spin", "hold the interpreter"])
def test_a_check_hangs(chaos: Callable[..., Run], deed: str) -> None:
    """A check that never ends costs its own example and no other, whatever it keeps busy meanwhile."""
    with chaos(FOUR) as run:
        _begin(run, {50: deed, 250: deed})
        census = run.ends(180, lost_workers=True)
        assert {row["index"] for row in census.disk.rejected} == {50, 250}
        # A process that does not hear that it should end is given more time than this test has.
        for _ in range(2):
            for machine in run.machines:
                machine.command.send(signal.SIGTERM)
            time.sleep(1)
