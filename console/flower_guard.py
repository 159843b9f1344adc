"""What Flower may do here: show, and set a limit. Its ways to run, end or rearrange things by HTTP are switched off."""

from __future__ import annotations

from typing import Any

from flower import urls
from flower.api import control, tasks
from flower.views import BaseHandler, monitor
from tornado.web import HTTPError, authenticated, url

from console.services import LOOPBACK

#: Tasks are enqueued by producers alone, and queues and workers are looked after by the fleet itself.
_OFF = (
    *(tasks.TaskApply, tasks.TaskAsyncApply, tasks.TaskSend, tasks.TaskResult, tasks.TaskAbort),
    *(control.TaskTimout, control.TaskRevoke),
    *(control.WorkerShutDown, control.WorkerPoolRestart, control.WorkerPoolGrow, control.WorkerPoolShrink),
    *(control.WorkerPoolAutoscale, control.WorkerQueueAddConsumer, control.WorkerQueueCancelConsumer),
)


class Off(BaseHandler):
    """In the place of what is switched off."""

    def prepare(self) -> None:
        """Refuses whatever the method; who is not let in learns nothing else."""
        if not self.current_user:
            raise HTTPError(401)
        raise HTTPError(403, "This is switched off; act on jobs with genfleet pause, resume, cancel and retry.")


class Metrics(monitor.Metrics):
    """Flower's figures for Prometheus, for who has the password."""

    @authenticated
    async def get(self) -> None:
        """As Flower answers."""
        await super().get()


class Healthcheck(monitor.Healthcheck):
    """Whether Flower answers, for who has the password."""

    @authenticated
    async def get(self) -> None:
        """As Flower answers."""
        await super().get()


def guard(address: str) -> None:
    """Makes the Flower that starts next in this process, to listen on `address`, safe to leave alone.

    On the loopback address figures and health may be read without a password, as other programs of the machine do.
    """
    instead: dict[Any, Any] = dict.fromkeys(_OFF, Off)
    if address not in LOOPBACK:
        instead |= {monitor.Metrics: Metrics, monitor.Healthcheck: Healthcheck}
    for place, handler in enumerate(urls.handlers):
        known = handler.handler_class if isinstance(handler, url) else handler[1]
        if known in instead:
            pattern = handler.regex.pattern if isinstance(handler, url) else handler[0]
            urls.handlers[place] = (pattern, instead[known])
