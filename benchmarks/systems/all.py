"""The systems, in the order of the tables."""

from __future__ import annotations

from benchmarks.systems.base import System
from benchmarks.systems.genfleet import Genfleet
from benchmarks.systems.peers import PEERS
from benchmarks.systems.plain_celery import PlainCelery
from benchmarks.systems.seed_method import Seed

SYSTEMS: tuple[System, ...] = (
    Genfleet(1),
    Genfleet(2),
    Genfleet(4),
    Seed(),
    PlainCelery(1),
    PlainCelery(2),
    *PEERS,
)
