"""The Jobs tab's pages and what they ask for while they are open, behind Flower's own password."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import redis as redis_py
from flower.views import BaseHandler
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler, StaticFileHandler, authenticated, url

from config.errors import UserError
from config.settings import settings
from console.jobs_page.actions import ACTIONS, act
from console.jobs_page.board import Board
from console.jobs_page.cross_site import refuse_other_sites
from console.jobs_page.examples import examples
from console.reader import STYLE
from ledger import jobs
from ledger.connection import BrokerAway, connect
from ledger.jobs import JobNotFound

T = TypeVar("T")

STATIC = Path(__file__).parents[1] / "static" / "flower"
_JOB = r"([A-Za-z0-9][A-Za-z0-9_-]{0,127})"


@cache
def board() -> Board:
    """The one that all requests of this process share."""
    return Board(connect(settings().redis_url or ""))


@cache
def _version() -> str:
    """Of the static files, so that a browser keeps them until they change."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Page(BaseHandler):
    """A page, or what it asks for; the ledger is asked off Flower's event loop."""

    async def asked(self, ask: Callable[[], T]) -> T:
        """The answer of the ledger. Raises HTTPError with a sentence for people."""
        try:
            answer: T = await IOLoop.current().run_in_executor(None, ask)
        except JobNotFound as error:
            raise HTTPError(404, _plain(error)) from None
        except BrokerAway as error:
            raise HTTPError(503, _plain(error)) from None
        except UserError as error:
            raise HTTPError(400, _plain(error)) from None
        except redis_py.exceptions.NoPermissionError:
            raise HTTPError(403, "Flower's user at the broker may not do this; act with genfleet instead.") from None
        except redis_py.RedisError as error:
            raise HTTPError(503, f"The broker does not answer ({type(error).__name__}).") from None
        return answer

    def show(self, template: str, **names: Any) -> None:
        """Renders one of our templates inside Flower's frame."""
        self.render(
            template,
            script=lambda name: f"{self.reverse_url('jobs_static', name)}?v={_version()}",
            read_only=self.application.options.read_only,
            **names,
        )


class Data(Page):
    """Answers in JSON, its errors too."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """One sentence, for whoever has asked."""
        error = kwargs.get("exc_info", (None, None))[1]
        said = error.log_message if isinstance(error, HTTPError) else None
        if status_code == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        self.set_status(status_code)
        self.finish({"error": said or "This cannot be answered; Flower's log says why."})


class JobsPage(Page):
    """All jobs."""

    @authenticated
    async def get(self) -> None:
        """Renders the frame; the page fills it."""
        self.show("jobs.html")


class JobPage(Page):
    """One job."""

    @authenticated
    async def get(self, job: str) -> None:
        """Renders the frame for a job that there is; by the beginning of an id it goes to the job's own address."""
        found = await self.asked(lambda: jobs.find(board().redis, job))
        if found != job:
            self.redirect(self.reverse_url("job", found))
            return
        self.show("job.html", job=job, style=STYLE)


class Everything(Data):
    """What the tab shows."""

    @authenticated
    async def get(self) -> None:
        """What has changed since the cursor that the answer before had."""
        cursor = self.get_query_argument("since", "")
        self.write(await self.asked(lambda: board().since(cursor)))


class OfJob(Data):
    """What a job's page, or its card on the tab, shows."""

    @authenticated
    async def get(self, job: str, what: str) -> None:
        """The job's counters, its columns for charts after a moment, or its newest examples."""
        since = self.get_query_argument("since", "")
        answer: Callable[[], dict[str, Any]] = {
            "now": lambda: board().job(job),
            "series": lambda: board().series(job, _moment(since)),
            "examples": lambda: examples(board().latest(job), since),
        }[what]
        self.write(await self.asked(answer))


class Act(Data):
    """The buttons."""

    def check_xsrf_cookie(self) -> None:
        """Flower asks for a token only where people log in by a cookie; what acts on jobs always does."""
        refuse_other_sites(self.request, has_login=self.application.options.basic_auth or self.application.options.auth)
        RequestHandler.check_xsrf_cookie(self)

    @authenticated
    async def post(self, job: str, action: str) -> None:
        """Acts on the job, and says what came of it."""
        if self.application.options.read_only:
            raise HTTPError(403, "This Flower only shows (--read-only); act with genfleet.")
        asked = self._asked()
        said = await self.asked(lambda: act(board().redis, job, action, asked))
        self.write({"said": said})

    def _asked(self) -> dict[str, Any]:
        try:
            asked = json.loads(self.request.body or b"{}")
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            raise HTTPError(400, "The request's body is no JSON object.")
        return asked


def _plain(error: UserError) -> str:
    # Tornado fills in arguments where it logs the sentence.
    return str(error).replace("%", "%%")


def _moment(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise HTTPError(400, "since is no moment: seconds since 1970 are asked for.") from None


HANDLERS = [
    url(r"/jobs", JobsPage, name="jobs"),
    url(r"/fleet", JobsPage),  # where it was before it was a tab
    url(r"/jobs/data", Everything, name="jobs_data"),
    url(r"/jobs/static/(.*)", StaticFileHandler, {"path": str(STATIC)}, name="jobs_static"),
    url(rf"/jobs/{_JOB}", JobPage, name="job"),
    url(rf"/jobs/{_JOB}/(now|series|examples)", OfJob),
    url(rf"/jobs/{_JOB}/({'|'.join(ACTIONS)})", Act),
]
