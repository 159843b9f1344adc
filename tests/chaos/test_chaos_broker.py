"""A broker that dies, freezes, forgets, or drops its clients."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from chaos_run import Run

pytestmark = pytest.mark.chaos


@pytest.mark.chaos(representative=True)
@pytest.mark.parametrize("program", ["valkey", "redis"])
def test_the_broker_is_killed_and_comes_back(chaos: Callable[..., Run], program: str) -> None:
    """SIGKILL of a broker with an append-only file: what calls brought meanwhile is kept, and nothing is paid twice."""
    with chaos(program=program) as run:
        run.go()
        run.at(0.2)
        with run.fault():
            run.broker.kill()
            time.sleep(3)
            run.broker.start()
        assert not run.ends().paid_twice


def test_the_broker_freezes_for_30_seconds(chaos: Callable[..., Run]) -> None:
    """SIGSTOP for longer than a heartbeat lasts: nobody who lives is taken for dead when it goes on."""
    with chaos() as run:
        run.go()
        run.at(0.2)
        with run.fault():
            run.broker.freeze()
            time.sleep(30)
            run.broker.thaw()
        assert not run.ends().paid_twice


def test_every_connection_is_dropped_again_and_again(chaos: Callable[..., Run]) -> None:
    """CLIENT KILL of those that wait for messages, of subscribers and of all others, each kind several times."""
    with chaos() as run:
        run.go()
        client = run.broker.client
        for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
            run.at(share)
            with run.fault():
                waiting = [one["id"] for one in client.client_list() if one["cmd"].startswith("brpop")]
                dropped = [client.client_kill_filter(_id=number) for number in waiting]
                dropped += [client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")]
                dropped += [client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")]
        run.note(f"{sum(map(int, dropped))} connections the last time")
        assert not run.ends().paid_twice


def test_the_broker_comes_later_than_the_fleet(chaos: Callable[..., Run]) -> None:
    """Workers that start while there is no broker say so, wait, and take tasks when there is one."""
    with chaos() as run:
        run.broker.kill()
        machines = run.start_machines()
        away = "does not answer"
        run.fleet.until(lambda: all(away in machine.command.err for machine in machines), "they say that they wait")
        time.sleep(3)
        run.broker.start()
        run.until_joined(machines)
        run.submit()
        run.collector = run.collect()
        run.ends()


@pytest.mark.chaos(representative=True)
def test_the_broker_comes_back_empty(chaos: Callable[..., Run]) -> None:
    """All that Redis held is lost: the job goes on from its part files, and workers bring what they had in flight.

    What was settled and not yet collected was in Redis alone. It counts as in flight, and nobody can name it.
    """
    with chaos() as run:
        run.go()
        run.at(0.2)
        accepted = run.results / "accepted"
        run.fleet.until(lambda: accepted.is_dir() and list(accepted.glob("part-*")), "some of it is collected")
        uncollected = run.last_of_ledger()
        run.broker.kill()
        run.broker.empty()
        time.sleep(2)
        run.broker.start()
        assert "is not in the ledger" in run.collector.wait().err
        run.submit("--resume", str(run.results))
        run.collector = run.collect()
        census = run.ends(forgotten=True)
        assert census.cut <= uncollected
        run.note(f"{len(uncollected)} answers were in the broker alone, {census.cut_calls} of them were bought again")
        run.note(f"{len(set(census.paid_twice) - uncollected)} in flight were bought again and came home too")

        again = ("small", "--count", str(run.shape.count), "--resume", str(run.results))
        assert "is complete already" in run.fleet.genfleet("submit", *again).err
