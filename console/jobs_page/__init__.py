"""Flower's Jobs tab: the fleet's jobs as its ledger knows them, live, and what people do to them."""

from __future__ import annotations

import threading
from contextlib import suppress


def add() -> None:
    """Adds the tab to the Flower that starts next in this process."""
    from flower import urls  # noqa: PLC0415  heavy
    from flower.views.tasks import TASK_COLUMNS  # noqa: PLC0415

    from console.jobs_page.handlers import HANDLERS, board  # noqa: PLC0415
    from console.jobs_page.loader import PagesLoader  # noqa: PLC0415

    loader = PagesLoader(urls.settings["template_path"])

    def warm() -> None:
        # Whoever asks is told what keeps it from being read.
        with suppress(Exception):
            for page in ("jobs.html", "job.html"):
                loader.load(page)
            board().since("")

    urls.handlers[:0] = HANDLERS
    urls.settings["template_loader"] = loader
    # What a producer writes there is the example's name, not arguments.
    TASK_COLUMNS.update({"args": "Example", "uuid": "Task"})
    # The first answer need not wait for templates, nor for all of a long job's readings.
    threading.Thread(target=warm, name="warm", daemon=True).start()
