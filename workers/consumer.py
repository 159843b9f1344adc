"""Celery's rate limit as the fleet's limit.

Celery's own limit is per worker and has no burst; at high rates it runs at a third of its value. So a task's
`rate_limit` is handed to the ledger, which keeps it exactly and for the whole fleet, and no local bucket is made.
`celery control rate_limit`, Flower's form and `genfleet limits` all end here.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from celery.utils.time import rate
from celery.worker.consumer import Consumer as CeleryConsumer

from config.logs import log
from config.models import Model
from workers import runtime
from workers.app import rate_limit, task_name

_EVENTS_EVERY_SECONDS = 0.25


class Consumer(CeleryConsumer):
    """A consumer whose tasks wait for admission in the ledger instead of in a local bucket."""

    _listened: bool | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial_prefetch_count += runtime.ahead(self.pool)

    @property
    def max_prefetch_count(self) -> int:
        """How many messages are taken at a time, also once the broker was away."""
        return int(super().max_prefetch_count) + runtime.ahead(self.pool)

    def register_with_event_loop(self, hub: Any) -> None:
        """Called whenever the event loop starts, and so after every loss of the broker."""
        super().register_with_event_loop(hub)
        # By the clock alone: a task that filled the buffer would publish it from the event loop that makes the calls.
        self.event_dispatcher.buffer_limit = math.inf
        hub.call_repeatedly(_EVENTS_EVERY_SECONDS, self._flush_events)
        runtime.waker.listen(hub)
        runtime.look()

    def ensure_connected(self, conn: Any) -> Any:
        """As Celery's own, but asking every two seconds: it would wait longer each time, up to half a minute."""
        conn.ensure_connection = partial(conn.ensure_connection, interval_step=0)
        return super().ensure_connected(conn)

    def on_send_event_buffered(self) -> None:
        """Celery would publish at every turn of its loop, mostly one event at a time."""

    def _flush_events(self) -> None:
        self._heed_listeners()
        super()._flush_events()

    def _heed_listeners(self) -> None:
        """Tasks' events are made while somebody listens, such as Flower; the heart's, every two seconds, tell of that.

        By hand they can be had all the same: `celery control enable_events` holds until listeners come or go.
        """
        events = self.event_dispatcher
        if events is None or events.producer is None or (listeners := events.producer.channel.listeners) is None:
            return
        if (listened := listeners > 0) != self._listened:
            self._listened = listened
            events.groups = {"worker", "task"} if listened else {"worker"}

    #: By task: its limit, in requests per minute, as it was last seen; 0 is none.
    _known: dict[str, float]

    def reset_rate_limits(self) -> None:
        """Called once at the start, and after every `rate_limit` command."""
        if not hasattr(self, "_known"):
            runtime.declare_limits()
            self._known = {}
            self.show_limits(runtime.limits_in_force())
        super().reset_rate_limits()

    def show_limits(self, in_force: dict[str, Model]) -> None:
        """Makes the tasks show these limits, whoever has set them, so that `inspect` and Flower do."""
        for name, model in in_force.items():
            task = self.app.tasks[task_name(name)]
            task.rate_limit = rate_limit(model)
            self._seen(task)

    def bucket_for_task(self, type: Any) -> None:  # noqa: A002  Celery's name
        """Hands a changed limit to the ledger; there is no local bucket."""
        if type.name in self._known and (limit := _per_minute(type)) != self._known[type.name]:
            runtime.change_limit(type.name.removeprefix("generate."), limit or None)
            self._seen(type)

    def _seen(self, task: Any) -> None:
        """Tells of a limit that is another than before, be it that Celery or that the ledger was told of it first."""
        limit = _per_minute(task)
        if self._known.setdefault(task.name, limit) != limit:
            self._known[task.name] = limit
            log("limit_changed", model=task.name.removeprefix("generate."), limit=f"{limit:g}" if limit else "no")


def _per_minute(task: Any) -> float:
    # As many digits as the ledger's limits are shown with: "100/h" is no other limit when it is read back.
    return float(f"{rate(task.rate_limit) * 60:g}")
