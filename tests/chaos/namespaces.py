"""A run's worker machines in namespaces of their own, with cables to the broker and to the provider."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from chaos_run import Machine, Run, repeating
from fleet_bench import MODEL

from benchmarks.network.cable import Cable
from benchmarks.network.machines import Machines


class Site:
    """The machines of a run; broker, provider, producer and collector stay outside."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stack = ExitStack()
        #: By machine, its ways.
        self.to_broker: list[Cable] = []
        self.to_provider: list[Cable] = []

    def __enter__(self) -> Self:
        return self

    def start(self, machines: int) -> None:
        """Starts so many machines, each with the workers of the run's shape, and waits until they take tasks."""
        run = self._run
        made = self._stack.enter_context(Machines(machines))
        self.to_broker, self.to_provider = made.to_broker, made.to_provider
        made.admit_to(run.broker.client)
        run.fleet.provide(repeating, latency_seconds=run.shape.latency, host=made.provider_host)
        shape = run.shape
        for namespace in made.namespaces:
            name = f"machine-{len(run.machines) + 1}"
            figures = ("--processes", str(shape.processes), "--concurrency", str(shape.concurrency), "--model", MODEL)
            arguments = namespace.inside(["-m", "console", "worker", *figures])
            url = f"redis://{made.broker_host}:{run.broker.port}/0"
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
