"""Worker processes that die, freeze, come back, or are told to stop."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import bad_checks
import pytest
from chaos_run import Run, Shape
from faults import memory_limit

pytestmark = pytest.mark.chaos

FOUR = Shape(processes=2, concurrency=10)


@pytest.mark.chaos(representative=True)
def test_one_of_four_processes_is_killed(chaos: Callable[..., Run]) -> None:
    """SIGKILL of one process: others make what it held, and it is replaced."""
    with chaos(FOUR) as run:
        run.go()
        run.at(0.2)
        run.kill(run.pids()[:1])
        run.ends()
        run.fleet.until(lambda: len(run.pids()) == 4, "another process stands in its place")


def test_half_of_the_processes_are_killed(chaos: Callable[..., Run]) -> None:
    """SIGKILL of one process on each of two machines at the same moment."""
    with chaos(FOUR) as run:
        run.go()
        run.at(0.2)
        run.kill([run.pids([machine])[0] for machine in run.machines])
        run.ends()


def test_all_are_killed_and_new_ones_start_elsewhere(chaos: Callable[..., Run]) -> None:
    """SIGKILL of every process and of those that watch them; new ones have neither their disks nor their names."""
    with chaos(FOUR) as run:
        run.go()
        run.at(0.2)
        run.kill([*(machine.command.pid for machine in run.machines), *run.pids()])
        died = time.monotonic()
        run.workers()
        run.ends()
        run.note(f"the first call after {run.first_call_after(died) - died:.1f} s")


def test_a_process_freezes_for_10_seconds(chaos: Callable[..., Run]) -> None:
    """SIGSTOP shorter than a heartbeat lasts: it comes back and settles what it held."""
    with chaos(FOUR) as run:
        run.go()
        run.at(0.2)
        frozen = run.pids()[:1]
        run.stop(frozen)
        time.sleep(10)
        run.go_on(frozen)
        run.ends()


def test_a_process_believed_dead_comes_back(chaos: Callable[..., Run]) -> None:
    """SIGSTOP for 60 s: others make what it held; its own late answers change nothing but the money."""
    with chaos(replace(FOUR, count=1_400, latency=2.0, timeout=300)) as run:
        run.go()
        run.at(0.1)
        frozen = run.pids()[:1]
        run.stop(frozen)
        time.sleep(60)
        run.go_on(frozen)
        run.ends()
        run.fleet.until(lambda: len(run.alive()) == 4, "it is in the fleet again, or another in its place")


def test_workers_are_told_to_stop_at_random_times(chaos: Callable[..., Run]) -> None:
    """SIGTERM twice at moments drawn by chance, each worker replaced by a new one: nothing is paid twice."""
    chance = random.Random(20_508)
    with chaos() as run:
        run.go()
        for share in sorted(chance.uniform(0.1, 0.6) for _ in range(2)):
            run.at(share)
            leaving = run.machines.pop(0)
            leaving.command.send(signal.SIGTERM)
            run.workers(1)
            assert leaving.command.wait().code == 0
        assert not run.ends().paid_twice


def test_calls_longer_than_a_heartbeat_when_told_to_stop(chaos: Callable[..., Run]) -> None:
    """A worker that drains goes on with its heartbeat, so that nobody takes it for dead and makes its calls again."""
    with chaos(Shape(count=60, latency=25)) as run:
        run.fleet.env["GENFLEET_GRACE_SECONDS"] = "60"
        run.go()
        run.fleet.until(lambda: len(run.leases()) == 40, "all slots are busy")
        leaving = run.machines[0]
        leaving.command.send(signal.SIGTERM)
        assert leaving.command.wait(120).code == 0
        census = run.ends(180)
        assert not census.paid_twice
        assert not census.ledger.unknown_each


def test_a_worker_is_told_twice_to_stop(chaos: Callable[..., Run]) -> None:
    """The second SIGTERM does not wait for calls: what was cut is named, and made by the others."""
    chance = random.Random(20_508)
    with chaos(Shape(latency=2.0, count=200)) as run:
        run.go()
        run.at(0.2)
        leaving = run.machines[0]
        pids = run.pids([leaving])
        leaving.command.send(signal.SIGTERM)
        time.sleep(chance.uniform(0.3, 1.0))
        run.in_flight |= run.leases(pids)
        leaving.command.send(signal.SIGTERM)
        assert leaving.command.wait().code == 1
        run.ends()


def test_a_process_runs_out_of_memory(chaos: Callable[..., Run]) -> None:
    """The system kills a process whose check takes more memory than it may: others make what it held."""
    with chaos(FOUR) as run:
        bad_checks.write(run.folder / "recipes")
        run.recipe(bad_checks.OUTPUT)
        run.go()
        run.at(0.2)
        pid = run.pids()[0]
        with memory_limit(pid, 64):
            bad_checks.write(run.folder / "recipes", dict.fromkeys(run.questions(), "eat"), [pid])
            run.fleet.until(lambda: pid not in run.pids(), "it is killed", 30)
        run.ends(lost_workers=True)
