"""Flower lets nobody in without the password where others can reach it, and runs and ends nothing for anybody."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
import yaml
from fleet_bench import QUEUE, Fleet
from flower.urls import handlers

from console.services import answers, free_port

LOGIN = "anna:pass"
#: What of Flower's interface for programs stays, besides pages: what only shows, and the form of a limit.
FORM = "api/task/rate-limit/x"
KEPT = {"api/workers", "api/tasks", "api/task/types", "api/queues/length", "api/task/info/x", FORM}


def endpoints() -> list[str]:
    """The paths of Flower's interface for programs, with something in the place of a name."""
    patterns = [handler[0] if isinstance(handler, tuple) else handler.regex.pattern for handler in handlers]
    return [re.sub(r"\(\.[*+]\)\$?$", "x", pattern).strip("/$") for pattern in patterns if "/api/" in pattern]


def method_of(path: str) -> str:
    """How a browser asks for it."""
    return "POST" if path.startswith("api/") and (path not in KEPT or path == FORM) else "GET"


def healthy(port: int) -> bool:
    """Whether the health check of Flower's container passes with Flower on that port."""
    compose = Path(__file__).parents[2] / "docker-compose.yml"
    kind, program, *arguments = yaml.safe_load(compose.read_text("utf-8"))["services"]["flower"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    command = [sys.executable, *(argument.replace("5555", str(port)) for argument in arguments)]
    return subprocess.run(command, cwd=compose.parent, check=False).returncode == 0


def ask(port: int, method: str, path: str, login: str | None = None, **headers: str) -> tuple[int, str]:
    """Status and text of what Flower answers."""
    if login is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


@pytest.fixture
def port(fleet: Fleet, request: pytest.FixtureRequest) -> int:
    """Flower on an address, with or without a password, after a worker has made something."""
    address, login = request.param
    port = free_port()
    fleet.plain_worker("one", 4)
    fleet.until_joined(1)
    # What would open its interface to every page in a browser changes nothing.
    env = {"FLOWER_BASIC_AUTH": login, "FLOWER_UNAUTHENTICATED_API": "true"}
    fleet.start("flower", "--port", str(port), "--address", address, **env)
    fleet.until(lambda: answers(f"http://127.0.0.1:{port}/healthcheck"), "Flower answers")
    return port


def test_flower_has_the_endpoints_that_are_known_here() -> None:
    """An upgrade of Flower that brings another way to act on a fleet is noticed."""
    assert len(endpoints()) == 20
    assert set(endpoints()) >= KEPT


@pytest.mark.parametrize("port", [("0.0.0.0", LOGIN)], indirect=True)
def test_where_others_reach_it_all_is_behind_the_password(fleet: Fleet, port: int) -> None:
    """Open to others, each page and endpoint asks for the password, and figures and health are given with it."""
    shown = [
        "",
        "workers",
        "tasks",
        "broker",
        "jobs",
        "jobs/data",
        "metrics",
        "fleet/metrics",
        "healthcheck",
        "worker/one@test",
        "tasks/datatable",
    ]
    for path in (*shown, *endpoints()):
        method = method_of(path)
        for login in (None, "anna:wrong", "anna:", ":", "pass"):
            assert ask(port, method, f"/{path}", login)[0] == 401, (path, login)
    for path in ("metrics", "healthcheck", "jobs"):
        assert ask(port, "GET", f"/{path}", LOGIN)[0] == 200
    assert ask(port, "GET", "/healthcheck", LOGIN)[1] == "OK"
    assert healthy(port)
    fleet.commands[-1].end()
    assert not healthy(port)


@pytest.mark.parametrize("port", [("127.0.0.1", LOGIN)], indirect=True)
def test_nothing_is_run_or_ended_through_it(fleet: Fleet, port: int) -> None:
    """With the password too, tasks are not applied or revoked and workers not shut down; a limit may be set."""
    off = [path for path in endpoints() if path not in KEPT]
    assert len(off) == 14
    for path in off:
        for method in ("POST", "GET"):
            status, said = ask(port, method, f"/{path.replace('/x', '/one@test')}", LOGIN)
            assert (status, "switched off" in said) == (403, True), (path, said)
    fleet.until(lambda: ask(port, "GET", "/worker/one@test", LOGIN)[0] == 200, "Flower knows the worker")
    assert fleet.redis.scard("genfleet:workers") == 1
    form = f"/api/task/rate-limit/{QUEUE.replace('/', '%2F')}?workername=one@test&ratelimit=5"
    assert ask(port, "POST", form, LOGIN)[0] == 200
    # A page of another site in the browser of somebody with the password may not.
    assert ask(port, "POST", form, LOGIN, Origin="https://elsewhere.example")[0] == 403
    assert ask(port, "GET", "/healthcheck")[0] == ask(port, "GET", "/metrics")[0] == 200


@pytest.mark.parametrize("port", [("127.0.0.1", "")], indirect=True)
def test_without_a_password_it_only_shows(fleet: Fleet, port: int) -> None:
    """On the loopback address without a password its pages are there and its whole interface for programs is closed."""
    assert ask(port, "GET", "/jobs")[0] == ask(port, "GET", "/workers")[0] == 200
    for path in endpoints():
        status, _ = ask(port, method_of(path), f"/{path}")
        assert status in (401, 403), path


def test_it_does_not_start_open_to_others_without_a_password(fleet: Fleet) -> None:
    """Another address than the loopback's needs FLOWER_BASIC_AUTH, and one that is user:password."""
    for address in ("0.0.0.0", "::", "", "192.0.2.1"):
        assert "set FLOWER_BASIC_AUTH" in fleet.genfleet("flower", "--address", address, code=2).err
    said = fleet.genfleet("flower", "--address", "0.0.0.0", code=2, FLOWER_BASIC_AUTH="secret").err
    assert "FLOWER_BASIC_AUTH in the environment or .env: must be user:password." in said
