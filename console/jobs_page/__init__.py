"""Flower's Jobs tab: the fleet's jobs as its ledger knows them, live, and what people do to them."""

from __future__ import annotations


def add() -> None:
    """Adds the tab to the Flower that starts next in this process."""
    from flower import urls  # noqa: PLC0415  heavy
    from flower.views.tasks import TASK_COLUMNS  # noqa: PLC0415

    from console.jobs_page.handlers import HANDLERS  # noqa: PLC0415
    from console.jobs_page.loader import PagesLoader  # noqa: PLC0415

    urls.handlers[:0] = HANDLERS
    urls.settings["template_loader"] = PagesLoader(urls.settings["template_path"])
    # What a producer writes there is the example's name, not arguments.
    TASK_COLUMNS.update({"args": "Example", "uuid": "Task"})
