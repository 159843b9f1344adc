"""Machines of their own as far as the network goes: each a namespace with one cable to the broker and one elsewhere.

The other goes to the provider. A namespace belongs to a process that does nothing, and is gone when that and the
workers in it are: nothing stays behind, whatever becomes of the test.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from cable import Cable, ip, tun
from chaos_run import Machine, Run, repeating
from fleet_bench import MODEL

_KEPT_SECONDS = 900
_ENTER = Path(__file__).with_name("enter_namespace.py")


@cache
def not_permitted() -> str | None:
    """Why there can be no such machines here; None where there can."""
    try:
        with ExitStack() as stack:
            keeper = _keeper(stack)
            os.close(tun(f"gfprobe{os.getpid() % 10_000}"))
            ip("link", "set", "lo", "up", namespace=keeper)
    except (OSError, subprocess.CalledProcessError, AssertionError) as error:
        return f"network namespaces and TUN devices are not permitted here ({type(error).__name__})"
    return None


class Site:
    """A run's worker machines in namespaces of their own; broker, provider, producer and collector stay outside."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stack = ExitStack()
        self._mark = os.getpid() % 10_000
        #: By machine, its ways.
        self.to_broker: list[Cable] = []
        self.to_provider: list[Cable] = []

    def __enter__(self) -> Self:
        return self

    def start(self, machines: int) -> None:
        """Starts so many machines, each with the workers of the run's shape, and waits until they take tasks."""
        run, net = self._run, _free_net()
        here = {"b": f"198.18.{net}.1", "p": f"198.19.{net}.1"}
        keepers = []
        for number in range(machines):
            keepers.append(_keeper(self._stack))
            ip("link", "set", "lo", "up", namespace=keepers[-1])
            for way, cables in (("b", self.to_broker), ("p", self.to_provider)):
                there = f"{here[way].removesuffix('.1')}.{number + 10}"
                cable = Cable(f"gf{self._mark}{way}{number}", here[way], there, keepers[-1])
                self._stack.callback(cable.close)
                cables.append(cable)
        run.broker.client.config_set("bind", f"127.0.0.1 {here['b']}")
        run.broker.client.config_set("protected-mode", "no")
        run.fleet.provide(repeating, latency_seconds=run.shape.latency, host=here["p"])
        shape = run.shape
        for keeper in keepers:
            name = f"machine-{len(run.machines) + 1}"
            figures = ("--processes", str(shape.processes), "--concurrency", str(shape.concurrency), "--model", MODEL)
            arguments = [str(_ENTER), f"/proc/{keeper}/ns/net", "-m", "console", "worker", *figures]
            url = f"redis://{here['b']}:{run.broker.port}/0"
            env = {"GENFLEET_DATA": str(run.folder / name), "REDIS_URL": url}
            run.machines.append(Machine(name, run.fleet.python(arguments, "worker", env)))
        run.until_joined(run.machines)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # While they still have a way to the broker, so that they end in order.
        for cable in (*self.to_broker, *self.to_provider):
            cable.restore()
        commands = [machine.command for machine in self._run.machines]
        for command in commands:
            if command.runs:
                command.send(signal.SIGTERM)
        try:
            self._run.fleet.provider.control(latency_seconds=0.0)
            self._run.fleet.until(lambda: not any(command.runs for command in commands), "the workers have ended", 40)
        finally:
            self._stack.close()


def _keeper(stack: ExitStack) -> int:
    """A process in a network namespace of its own."""
    keeper = subprocess.Popen(["unshare", "--net", "sleep", str(_KEPT_SECONDS)], stderr=subprocess.DEVNULL)
    stack.callback(keeper.wait)
    stack.callback(keeper.kill)
    deadline = time.monotonic() + 10
    while _namespace(keeper.pid) in (None, _namespace(os.getpid())):
        assert keeper.poll() is None, "unshare --net is refused"
        assert time.monotonic() < deadline, "there is no new namespace"
        time.sleep(0.01)
    return keeper.pid


def _namespace(pid: int) -> str | None:
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    return None


def _free_net() -> int:
    """Of the addresses that are set aside for tests of networks, a part that nobody here uses."""
    used = subprocess.run(["ip", "-oneline", "address"], check=True, capture_output=True, text=True).stdout
    return next(net for net in range(os.getpid() % 200, 255) if f"198.18.{net}." not in used)
