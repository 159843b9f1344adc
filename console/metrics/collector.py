"""The ledger as a collector of Prometheus' client: each scrape reads it anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import redis as redis_py
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from config.errors import UserError
from console.metrics.catalogue import METRICS
from console.metrics.families import families, family
from console.metrics.snapshot import snapshot
from ledger.connection import Redis


class LedgerCollector(Collector):
    """All metrics of the catalogue; where the ledger cannot be read, genfleet_up is 0 and stands alone.

    Args:
        broker: gives the connection, and raises what keeps it from it.
    """

    def __init__(self, broker: Callable[[], Redis]) -> None:
        self._broker = broker
        # Whoever scrapes beside another waits for it: the ledger is not read by several at once.
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Family]:
        """Reads the ledger."""
        with self._lock:
            began = time.monotonic()
            try:
                found = list(families(snapshot(self._broker())))
            except (redis_py.RedisError, UserError):
                found = []
            took = time.monotonic() - began
        yield family(METRICS["genfleet_up"], [((), bool(found))])
        yield family(METRICS["genfleet_scrape_duration_seconds"], [((), took)])
        yield from found

    def describe(self) -> list[Family]:
        """Without asking the ledger, which may not be there when the collector is registered."""
        return [family(one, []) for one in METRICS.values()]


class Page:
    """What is answered to whoever scrapes."""

    def __init__(self, broker: Callable[[], Redis]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(LedgerCollector(broker))

    def text(self, accept: str) -> tuple[bytes, str]:
        """The figures in the form that the header Accept asks for, and the type that names it."""
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind
