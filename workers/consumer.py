"""Celery's rate limit as the fleet's limit.

Celery's own limit is per worker and has no burst; at high rates it runs at a third of its value. So a task's
`rate_limit` is handed to the ledger, which keeps it exactly and for the whole fleet, and no local bucket is made.
`celery control rate_limit`, Flower's form and `genfleet limits` all end here.
"""

from __future__ import annotations

from typing import Any

from celery.utils.time import rate
from celery.worker.consumer import Consumer as CeleryConsumer

from workers import runtime
from workers.app import rate_limit, task_name


class Consumer(CeleryConsumer):
    """A consumer whose tasks wait for admission in the ledger instead of in a local bucket."""

    #: What each task's rate_limit was when it was last handed on.
    _known: dict[str, Any]

    def reset_rate_limits(self) -> None:
        """Called once at the start, and after every `rate_limit` command."""
        if not hasattr(self, "_known"):
            # The limits in force are the ledger's; the tasks show them, so that `inspect` and Flower do.
            in_force = runtime.limits_in_force()
            for name, limits in in_force.items():
                self.app.tasks[task_name(name)].rate_limit = rate_limit(limits)
            self._known = {name: getattr(task, "rate_limit", None) for name, task in self.app.tasks.items()}
        super().reset_rate_limits()

    def bucket_for_task(self, type: Any) -> None:  # noqa: A002  Celery's name
        """Hands a changed limit to the ledger; there is no local bucket."""
        limit = getattr(type, "rate_limit", None)
        if self._known.get(type.name) != limit and type.name.startswith("generate."):
            per_second = rate(limit)
            runtime.change_limit(type.name.removeprefix("generate."), per_second * 60 if per_second else None)
        self._known[type.name] = limit
