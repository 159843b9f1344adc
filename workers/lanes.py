"""Lanes: which models' queues each process of a machine consumes, so that one that waits stops no other.

A thread that holds a task waits with it for the model's limit. Where several models have running jobs, each of them
therefore gets processes of its own, and gives them back when its jobs are done.
"""

from __future__ import annotations

import os
from typing import Any

from workers.app import task_name

_VARIABLE = "GENFLEET_LANE"


def environment(index: int, lanes: int) -> dict[str, str]:
    """What tells a process that it is lane `index` of `lanes`."""
    return {_VARIABLE: f"{index}/{lanes}"}


def lane(models: list[str], busy: set[str], index: int, lanes: int) -> set[str]:
    """The models that lane `index` of `lanes` takes, of all that its machine can.

    `busy` are the models with running jobs. Every lane takes idle models too, so that a new job starts at once.
    """
    shared = sorted(busy & set(models))
    if len(shared) <= 1:
        return set(models)
    mine = shared[index::lanes] if lanes < len(shared) else [shared[index % len(shared)]]
    return set(mine) | (set(models) - set(shared))


class Lane:
    """This process's lane, kept by its housekeeping; without a supervisor a process takes all it was started for."""

    def __init__(self, consumer: Any, models: list[str]) -> None:
        self._consumer = consumer
        self._models = models
        place = os.environ.get(_VARIABLE)
        self._place = tuple(int(part) for part in place.split("/")) if place else None

    def keep(self, busy: set[str]) -> set[str]:
        """Begins and ends consuming queues as the busy models want it, and names the models that it leaves."""
        if self._place is None:
            return set()
        wanted = lane(self._models, busy, *self._place)
        consumed = self._consumer.app.amqp.queues.consume_from
        left = {model for model in self._models if model not in wanted and task_name(model) in consumed}
        for model in sorted(wanted):
            if task_name(model) not in consumed:
                self._consumer.call_soon(self._consumer.add_task_queue, task_name(model))
        for model in sorted(left):
            self._consumer.call_soon(self._consumer.cancel_task_queue, task_name(model))
        return left
