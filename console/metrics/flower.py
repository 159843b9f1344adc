"""The metrics on Flower's port, behind its password."""

from __future__ import annotations

from functools import cache

from flower import urls
from flower.views import BaseHandler
from tornado.ioloop import IOLoop
from tornado.web import authenticated, url

from config.settings import settings
from console.metrics.collector import Page
from ledger.connection import connect

PATH = "/fleet/metrics"


@cache
def _page() -> Page:
    return Page(cache(lambda: connect(settings().redis_url or "")))


class FleetMetrics(BaseHandler):
    """The ledger's figures; Flower's own, of the events that it saw, are at /metrics."""

    @authenticated
    async def get(self) -> None:
        """Answers a scrape; the ledger is asked off Flower's event loop."""
        accept = self.request.headers.get("Accept", "")
        body, kind = await IOLoop.current().run_in_executor(None, lambda: _page().text(accept))
        self.set_header("Content-Type", kind)
        self.write(body)


HANDLERS = [url(PATH, FleetMetrics)]


def add() -> None:
    """Adds the page to the Flower that starts next in this process."""
    urls.handlers[:0] = HANDLERS
