"""Ways to the broker and to the provider that are cut without a word, slow, or lose packets.

Each worker machine is a network namespace with cables of its own, where that is permitted. Where it is not, a relay
that passes nothing on stands for a cut, which both ends' systems take for a peer that is merely slow; lost and slow
packets have no such stand-in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest
from census import Census
from chaos_run import Run, Shape
from fleet_bench import MODEL
from namespaces import Site
from provider_looks import arrivals, now
from test_chaos_provider import cut_off

from benchmarks.network.cable import Cable
from benchmarks.network.namespace import not_permitted

pytestmark = pytest.mark.chaos

needs_namespaces = pytest.mark.skipif(not_permitted() is not None, reason=str(not_permitted()))
PATIENT = Shape(timeout=20)


class Way(Protocol):
    """A cable, or a relay in its place."""

    def hold(self) -> None:
        """Nothing passes."""

    def restore(self) -> None:
        """All passes."""


@contextmanager
def machines(run: Run) -> Iterator[list[Way]]:
    """The run's machines with its job under way; gives the ways to the broker."""
    if not_permitted():
        run.note("a relay for the cables, as namespaces are not permitted")
        run.go(linked=True)
        yield [machine.link for machine in run.machines if machine.link is not None]
        return
    with Site(run) as site:
        site.start(run.shape.machines)
        run.begin()
        yield list(site.to_broker)


def held(run: Run, ways: list[Way], seconds: float) -> None:
    """Cuts these for so long. What is leased once they are cut may suffer, a grant that nobody hears of among it."""
    for way in ways:
        way.hold()
    run.in_flight |= run.leases()
    time.sleep(seconds)
    for way in ways:
        way.restore()


def all_settled(run: Run, seconds: float = 240) -> None:
    """Nobody died, so each paid answer reaches the ledger, also after the job is complete without it."""
    run.fleet.until(lambda: run.state() == "complete", "the job is complete", seconds)
    run.fleet.until(lambda: run.fleet.status(run.job).cost_nano_usd == run.fleet.billed(), "bill and ledger agree", 60)
    run.collector.wait()
    run.collector = run.collect()


def back_at_speed(run: Run, cut: float, back: float) -> float:
    """Seconds from `back` until as many calls come in two seconds as before `cut`, but for a tenth."""
    before = run.pace(cut - 4, 4)
    late = (call.t - back for call in arrivals(run.fleet) if call.t >= back and run.pace(call.t, 2) >= 0.9 * before)
    found = next(late, None)
    assert found is not None, f"it has not come back to {before:.0f} calls a second"
    run.note(f"{before:.0f} calls/s before, as many {found:.1f} s after its return")
    return found


@pytest.mark.chaos(representative=True)
def test_one_machine_is_cut_for_ten_seconds(chaos: Callable[..., Run]) -> None:
    """Others may take it for dead and make what it held; what it had paid for comes to the books when it is back."""
    with chaos() as run, machines(run) as ways:
        run.at(0.2)
        held(run, ways[:1], 10)
        all_settled(run)
        census = run.ends()
        assert not census.cut_calls


def test_one_machine_is_cut_for_two_minutes(chaos: Callable[..., Run]) -> None:
    """Others make what it held; what it had paid for meanwhile comes to the books when it is back."""
    with chaos() as run, machines(run) as ways:
        run.at(0.5)
        # What is left lasts longer than the cut.
        run.fleet.genfleet("limits", MODEL, "--rpm", "80")
        held(run, ways[:1], 120)
        run.fleet.genfleet("limits", MODEL, "--rpm", "600000")
        all_settled(run)
        census = run.ends()
        assert not census.cut_calls


@pytest.mark.parametrize("seconds", [10, 120])
def test_the_whole_fleet_is_cut(chaos: Callable[..., Run], seconds: float) -> None:
    """Nothing is admitted meanwhile; answers that come wait on the workers' disks, and none is paid for again."""
    with chaos() as run, machines(run) as ways:
        run.at(0.3)
        held(run, ways, seconds)
        all_settled(run)
        census = run.ends()
        assert not census.paid_twice
        assert not census.cut_calls


def test_the_whole_fleet_is_back_in_ten_seconds(chaos: Callable[..., Run]) -> None:
    """Cut from the broker for half a minute, it is at full speed ten seconds later, and no answer is bought twice."""
    with chaos(Shape(count=2000)) as run, machines(run) as ways:
        run.at(0.3)
        cut = now()
        held(run, ways, 30)
        back = now()
        all_settled(run)
        census = run.ends()
        assert not census.paid_twice
        assert back_at_speed(run, cut, back) <= 10


def ends_over(run: Run, spoil: Callable[[Cable], None]) -> Census:
    """A whole job of machines whose cables to the broker are all spoilt alike."""
    with Site(run) as site:
        site.start(run.shape.machines)
        for cable in site.to_broker:
            spoil(cable)
        run.begin()
        return run.ends(240)


@needs_namespaces
def test_a_slow_way_to_the_broker(chaos: Callable[..., Run]) -> None:
    """200 ms there and back to the broker cost speed and nothing else."""
    with chaos() as run:
        census = ends_over(run, lambda cable: cable.slow(0.1))
        assert not census.paid_twice
        assert not census.ledger.unknown_each


@needs_namespaces
def test_a_way_to_the_broker_that_loses_packets(chaos: Callable[..., Run]) -> None:
    """Of twenty packets to or from the broker one is lost: TCP sends it again, and no worker is taken for dead."""
    with chaos() as run:
        assert not ends_over(run, lambda cable: cable.lose(0.05)).paid_twice


@needs_namespaces
@pytest.mark.parametrize("seconds", [5, 40])
def test_the_provider_is_cut_in_the_middle_of_answers(chaos: Callable[..., Run], seconds: float) -> None:
    """Answers come late, or are given up and charged as unknown: they may have been paid for."""
    with chaos(PATIENT) as run, Site(run) as site:
        site.start(run.shape.machines)
        run.begin()
        run.at(0.3)
        held(run, list(site.to_provider), seconds)
        cut_off(run, 240)
        run.ends()
