"""The fleet's limit has three faces, Celery's command, Flower's form and our own: each sets it for all, at once."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from http.client import HTTPConnection
from urllib.parse import quote, urlencode

import pytest
from fleet_bench import MODEL, QUEUE, Fleet
from provider_looks import arrivals, first_second_above, now, since

from console.provider.audit import Call
from console.services import answers, free_port

# Looks at pace: it has the machine's other tests beside it, but none that keeps every core busy.
pytestmark = pytest.mark.xdist_group("pace")

THREADS = 10  # of each of the two workers
FLOWER_LOGIN = "anna:pass"
LIMIT = 300  # requests per minute
PER_SECOND = LIMIT / 60
#: More in a second than the limit with its burst lets through.
FAST = 2 * PER_SECOND
#: Calls in a row that show the pace of a limit.
SEEN = 15


class Flower:
    """Flower's pages as a browser of somebody with the password sees and uses them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._login = f"Basic {base64.b64encode(FLOWER_LOGIN.encode()).decode()}"

    def page(self, path: str, login: bool = True) -> tuple[int, str, str]:
        """Status, text and cookies of a page."""
        return self._ask("GET", path, {"Authorization": self._login} if login else {})

    def set_rate(self, worker: str, per_second: int) -> tuple[int, str]:
        """What the button beside a task's rate limit on a worker's page does: status and answer."""
        _, page, cookies = self.page(f"/worker/{worker}")
        assert f'id="task-rate-limit-{QUEUE} ' in page, "the worker's page has no form for the model's task"
        token = re.search(r"_xsrf=([^;]+)", cookies)
        assert token is not None
        headers = {
            "Authorization": self._login,
            "Cookie": f"_xsrf={token[1]}",
            "X-XSRFToken": token[1],
            "X-Requested-With": "XMLHttpRequest",
            "Origin": f"http://127.0.0.1:{self._port}",
            "Sec-Fetch-Site": "same-origin",
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        }
        body = urlencode({"workername": worker, "ratelimit": per_second})
        status, text, _ = self._ask("POST", f"/api/task/rate-limit/{quote(QUEUE)}", headers, body)
        return status, text

    def _ask(self, method: str, path: str, headers: dict[str, str], body: str | None = None) -> tuple[int, str, str]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.getheader("Set-Cookie") or ""
        finally:
            connection.close()


def test_celery_flower_and_genfleet_each_set_the_limit_of_the_whole_fleet(fleet: Fleet) -> None:
    """Set by any of the three, the provider feels it from all workers, all show it, and taken away it is fast again."""
    fleet.provide(latency_seconds=0.5, latency_sigma=0.1)
    for name in ("one", "two"):
        fleet.plain_worker(name, THREADS)
    fleet.until_joined(2)
    port = free_port()
    fleet.start("flower", "--port", str(port), FLOWER_BASIC_AUTH=FLOWER_LOGIN)
    fleet.until(lambda: answers(f"http://127.0.0.1:{port}/healthcheck"), "Flower answers")
    flower = Flower(port)
    assert flower.page("/worker/one@test", login=False)[0] == 401
    job = fleet.submit("small", "--count", "2000")
    fleet.until(lambda: first_second_above(arrivals(fleet), 2 * FAST), "the fleet is fast without a limit")

    def by_celery() -> None:
        done = fleet.celery("control", "rate_limit", QUEUE, f"{LIMIT}/m").wait()
        assert done.out.count("new rate limit set successfully") == 2

    def by_flower() -> None:
        fleet.until(lambda: flower.page("/worker/one@test")[0] == 200, "Flower shows the worker")
        status, said = flower.set_rate("one@test", round(PER_SECOND))
        assert (status, "new rate limit set successfully" in said) == (200, True), said

    def by_genfleet() -> None:
        fleet.genfleet("limits", MODEL, "--rpm", str(LIMIT))

    for name, change in (("celery", by_celery), ("flower", by_flower), ("genfleet", by_genfleet)):
        _limit_is_felt_shown_and_taken_away(fleet, flower, name, change)
    fleet.genfleet("cancel", job)


def _limit_is_felt_shown_and_taken_away(fleet: Fleet, flower: Flower, name: str, change: Callable[[], None]) -> None:
    change()
    changed = now()
    slow = fleet.until(lambda: _as_slow_as_the_limit(since(arrivals(fleet), changed)), f"the limit of {name} is felt")
    before = len([call for call in since(arrivals(fleet), changed) if call.t < slow[0].t])
    print(
        f"{name}: {before} calls in {slow[0].t - changed:.1f} s, then {SEEN} at "
        f"{60 * (SEEN - 1) / (slow[-1].t - slow[0].t):.0f}/min; the limit is {LIMIT}/min"
    )
    # Each thread may have been let through before; from then on there are the limit, its burst of half a second, and
    # the ways of calls to the provider, which differ.
    assert before <= 2 * THREADS + PER_SECOND * (slow[0].t - changed + 1)

    assert f"{MODEL} " in (shown := fleet.genfleet("limits", MODEL).out)
    assert next(line for line in shown.splitlines() if line.startswith(MODEL)).split()[1] == str(LIMIT)
    fleet.until(lambda: _inspected(fleet) == [LIMIT, LIMIT], "`celery inspect` shows it for both workers")
    for worker in ("one@test", "two@test"):
        fleet.until(lambda: _rates(flower.page(f"/worker/{worker}")[1])[:1] == [LIMIT], f"Flower shows it: {worker}")  # noqa: B023

    fleet.genfleet("limits", MODEL, "--rpm", "6000")
    freed = now()
    fast = fleet.until(lambda: first_second_above(since(arrivals(fleet), freed), 2 * FAST), "it is fast again")
    print(f"{name}: fast again {fast - freed:.1f} s after the limit was raised")


def _as_slow_as_the_limit(calls: list[Call]) -> list[Call] | None:
    """The first calls in a row that came no faster than the limit with its burst lets them through."""
    for first in range(len(calls) - SEEN + 1):
        row = calls[first : first + SEEN]
        if PER_SECOND * (row[-1].t - row[0].t + 1) >= SEEN - 1:
            return row
    return None


def _inspected(fleet: Fleet) -> list[float]:
    """The limit that each worker shows for the model's task, per minute."""
    return _rates(fleet.celery("inspect", "registered", "rate_limit").wait().out)


def _rates(text: str) -> list[float]:
    per = {"m": 1.0, "s": 60.0, "": 60.0}
    found = re.findall(rf"{re.escape(QUEUE)} \[rate_limit=([\d.]+)(?:/([ms]))?\]", text)
    return [float(number) * per[unit] for number, unit in found]
