"""The fleet's page inside Flower, at /fleet: jobs, limits and cost, behind the same password."""

from __future__ import annotations

from flower import urls
from flower.views import BaseHandler
from tornado.ioloop import IOLoop
from tornado.web import authenticated, url

from config.settings import settings
from console.pages import fleet_page
from ledger.connection import Redis, connect


class FleetHandler(BaseHandler):
    """Shows the newest jobs and the limits."""

    _redis: Redis = None

    @authenticated
    async def get(self) -> None:
        """Renders the page off the event loop, as it asks Redis."""
        self.write(await IOLoop.current().run_in_executor(None, self._page))

    @classmethod
    def _page(cls) -> str:
        if cls._redis is None:
            cls._redis = connect(settings().redis_url or "")
        return fleet_page(cls._redis)


def add() -> None:
    """Adds the page to the Flower that starts next in this process."""
    urls.handlers.insert(0, url(r"/fleet", FleetHandler, name="fleet"))
