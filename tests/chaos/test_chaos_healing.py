"""How fast a fleet heals: the seconds are printed, and what is asserted is that it heals at all."""

from __future__ import annotations

import time
from collections.abc import Callable

import bad_checks
import pytest
from chaos_run import Run, Shape

pytestmark = pytest.mark.chaos

CUT_SECONDS = 30.0


def test_a_dead_workers_examples_run_again(chaos: Callable[..., Run]) -> None:
    """Where nobody watches it, a worker's examples are called for again, whatever Celery knows of them."""
    with chaos(Shape(count=900)) as run:
        dead, other = (run.plain_worker(name) for name in ("one", "two"))
        run.fleet.until_joined(2)
        run.begin()
        run.at(0.1)
        run.kill([dead.pid])
        died = time.monotonic()
        census = run.ends()
        again = run.calls_for(set(census.paid_twice), after=died)
        assert again
        run.note(f"all {len(again)} of its examples were called for again within {max(again) - died:.1f} s")
        assert other.runs


@pytest.mark.parametrize("way", ["frozen", "cut", "held up"])
def test_cut_from_the_broker_for_30_seconds(chaos: Callable[..., Run], way: str) -> None:
    """Answers that come meanwhile are kept, nothing is paid twice, and the fleet is at its old pace again."""
    with chaos(Shape(count=1_500)) as run:
        run.go(linked=True)
        run.at(0.3)
        pace = run.pace(time.monotonic() - 4, 4.0)
        with run.fault():
            for machine in run.machines:
                assert machine.link is not None
                {"frozen": run.broker.freeze, "cut": machine.link.cut, "held up": machine.link.hold}[way]()
            time.sleep(CUT_SECONDS)
            for machine in run.machines:
                assert machine.link is not None
                machine.link.restore()
            run.broker.thaw()
        back = time.monotonic()
        assert not run.ends().paid_twice
        healed = next((k / 4 for k in range(400) if run.pace(back + k / 4, 4.0) >= 0.9 * pace), None)
        assert healed is not None
        run.note(f"at {pace:.0f} calls/s again {healed:.1f} s after the broker's return")


@pytest.mark.parametrize("silence", ["no longer asks", "stands still"])
def test_a_worker_that_fell_silent_is_started_again(chaos: Callable[..., Run], silence: str) -> None:
    """Celery that lives and takes no more tasks is found out by its own process, and its supervisor replaces it."""
    with chaos(Shape(count=2_000, machines=1, processes=2)) as run:
        bad_checks.write(run.folder / "recipes")
        run.recipe(bad_checks.OUTPUT)
        run.go()
        run.at(0.05)
        pid = run.pids()[0]
        bad_checks.write(run.folder / "recipes", dict.fromkeys(run.questions(), silence), [pid])
        began = time.monotonic()
        run.fleet.until(lambda: pid not in run.pids() and len(run.pids()) == 2, "another is in its place", 120)
        run.note(f"another process in its place after {time.monotonic() - began:.0f} s")
        census = run.ends(lost_workers=True)
        assert not census.paid_twice
        assert any("takes no more tasks" in machine.command.err for machine in run.machines)
