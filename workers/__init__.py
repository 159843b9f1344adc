"""Workers: they take examples from the queue, call models, and settle what came back.

`celery -A workers worker` finds the app here.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Only where it is asked for: Celery takes as long to import as all else that a command needs.
    if name == "celery":
        from workers.app import app  # noqa: PLC0415

        return app
    raise AttributeError(name)
