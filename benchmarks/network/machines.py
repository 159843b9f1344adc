"""Worker machines on this one: each a namespace with a cable to the broker's address and one to the provider's."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Self

from benchmarks.network.cable import Cable
from benchmarks.network.namespace import Namespace
from ledger.connection import Redis


class Machines:
    """So many of them. Broker, provider, producer and collector stay outside, at addresses of this machine.

    Attributes:
        broker_host: where the machines find the broker, once it was told by `admit_to`.
        provider_host: where they find a provider that listens there.
        namespaces: the machines.
        to_broker: their cables to the broker, and in `to_provider` those to the provider.
    """

    def __init__(self, number: int) -> None:
        net, mark = _free_net(), os.getpid() % 10_000
        self.broker_host, self.provider_host = f"198.18.{net}.1", f"198.19.{net}.1"
        self.namespaces: list[Namespace] = []
        self.to_broker: list[Cable] = []
        self.to_provider: list[Cable] = []
        with ExitStack() as stack:
            for machine in range(number):
                namespace = stack.enter_context(closing(Namespace()))
                self.namespaces.append(namespace)
                for way, here, cables in (
                    ("b", self.broker_host, self.to_broker),
                    ("p", self.provider_host, self.to_provider),
                ):
                    there = f"{here.removesuffix('.1')}.{machine + 10}"
                    cable = Cable(f"gf{mark}{way}{machine}", here, there, namespace.pid)
                    cables.append(stack.enter_context(closing(cable)))
            self._stack = stack.pop_all()

    def admit_to(self, broker: Redis) -> None:
        """Has the broker listen where the machines look for it, beside where it listens now."""
        broker.config_set("bind", f"127.0.0.1 {self.broker_host}")
        broker.config_set("protected-mode", "no")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Takes them away; what still runs there has no network from then on."""
        self._stack.close()


def _free_net() -> int:
    """Of the addresses that are set aside for tests of networks (RFC 2544), a part that nobody here uses."""
    used = subprocess.run(["ip", "-oneline", "address"], check=True, capture_output=True, text=True).stdout
    return next(net for net in range(os.getpid() % 200, 255) if f"198.18.{net}." not in used)
