"""Commands to the workers, such as `celery inspect` and Flower send: who may not send any goes on without."""

from __future__ import annotations

from typing import Any

from celery.app import control

from config.logs import log
from ledger.connection import refused


class Control(control.Control):
    """Celery's, for users of the broker that may not command workers: nobody hears them, and nobody answers."""

    def broadcast(self, *arguments: Any, **options: Any) -> Any:
        """As Celery's; nothing where the broker refuses it.

        Producers are understood without: workers look for jobs with every heartbeat. Flower shows what it is told by
        events.
        """
        try:
            return super().broadcast(*arguments, **options)
        except Exception as error:
            if not refused(error):
                raise
            log("commands_refused")
            return [] if options.get("reply") else None
