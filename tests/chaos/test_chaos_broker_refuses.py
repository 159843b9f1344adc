"""A broker that answers, but with a refusal that passes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from chaos_run import Run
from own_broker import PROGRAMS

pytestmark = pytest.mark.chaos

SECONDS = 10.0
programs = pytest.mark.parametrize(
    "program",
    [pytest.param(name, marks=[] if path else pytest.mark.skip("not installed")) for name, path in PROGRAMS.items()],
)


@programs
def test_the_broker_has_no_memory_left(chaos: Callable[..., Run], program: str) -> None:
    """At maxmemory the fleet pauses and says so, and goes on when there is room: nothing has failed."""
    with chaos(program=program) as run:
        run.go()
        run.at(0.2)
        with run.fault():
            run.broker.client.config_set("maxmemory", "1mb")
            _stands_still(run)
            run.broker.client.config_set("maxmemory", "0")
        assert not run.ends().paid_twice
        assert all("no memory left" in machine.command.err for machine in run.machines)


@programs
def test_the_broker_takes_no_writes(chaos: Callable[..., Run], program: str) -> None:
    """A broker that is a replica for a while, as in a failover, refuses every write, and takes them again."""
    with chaos(program=program) as run, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        run.go()
        run.at(0.2)
        with run.fault():
            run.broker.client.replicaof("127.0.0.1", nobody.getsockname()[1])
            _stands_still(run)
            run.broker.client.replicaof("NO", "ONE")
        assert not run.ends().paid_twice
        assert all("takes no writes" in machine.command.err for machine in run.machines)


def test_the_broker_refuses_the_password(chaos: Callable[..., Run]) -> None:
    """A password that nobody has been told of keeps everyone out, until it is taken back."""
    with chaos() as run:
        run.go()
        run.at(0.2)
        with run.fault():
            run.broker.client.config_set("requirepass", "another")
            run.broker.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
            run.broker.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            time.sleep(SECONDS)
            run.broker.client.config_set("requirepass", "")
        assert not run.ends().paid_twice
        assert all("refuses the password" in machine.command.err for machine in run.machines)


def test_a_worker_with_the_wrong_password_says_so(chaos: Callable[..., Run]) -> None:
    """It ends at once with a sentence that holds no password; the fleet goes on without it."""
    with chaos() as run:
        run.go()
        run.broker.client.config_set("requirepass", "Tq7right")
        wrong = run.broker.url.replace("redis://", "redis://:Tq7wrong@")
        done = run.fleet.genfleet("worker", "--processes", "1", code=2, REDIS_URL=wrong)
        run.broker.client.config_set("requirepass", "")
        assert "refuses the user or the password in REDIS_URL" in done.err
        assert "Tq7wrong" not in done.err + done.out
        assert not run.ends().paid_twice


def _stands_still(run: Run) -> None:
    """Waits some seconds from the moment on when nothing is accepted any more."""
    before = -1
    while (now := run.accepted()) != before:
        before = now
        time.sleep(1.0)
    time.sleep(SECONDS)
    assert run.accepted() == before < run.shape.count
