"""The metrics on a port of their own."""

from __future__ import annotations

import base64
import hmac
import socket
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from pydantic import SecretStr

from config.errors import UserError
from console.metrics.collector import Page
from ledger.connection import Redis

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = 30  # seconds that a connection may be silent

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name there
        """Scrapes are no events."""


def application(page: Page, login: SecretStr | None) -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    """Answers GET /metrics, and GET /healthcheck without the ledger.

    Args:
        login: user:password that is asked for; None where nobody is asked.
    """
    wanted = None if login is None else b"Basic " + base64.b64encode(login.get_secret_value().encode())

    def answer(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        def say(
            status: str, body: bytes, kind: str = "text/plain; charset=utf-8", *more: tuple[str, str]
        ) -> list[bytes]:
            start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *more])
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

        given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        if wanted is not None and not hmac.compare_digest(given, wanted):
            asks = ("WWW-Authenticate", 'Basic realm="genfleet"')
            return say("401 Unauthorized", b"user and password are those of FLOWER_BASIC_AUTH\n", "text/plain", asks)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return say("405 Method Not Allowed", b"only GET\n")
        if environ["PATH_INFO"] == "/healthcheck":
            return say("200 OK", b"OK\n")
        if environ["PATH_INFO"] != "/metrics":
            return say("404 Not Found", b"the metrics are at /metrics\n")
        return say("200 OK", *page.text(environ.get("HTTP_ACCEPT", "")))

    return answer


def serving(broker: Callable[[], Redis], port: int, address: str, login: SecretStr | None) -> WSGIServer:
    """A server that listens already; `serve_forever` makes it answer.

    Args:
        broker: gives the connection to the ledger, asked at each scrape.
        login: user:password that is asked for; None where nobody is asked.

    Raises:
        UserError: the port or the address cannot be had.
    """
    kind = _Server6 if ":" in address else _Server
    try:
        return make_server(address, port, application(Page(broker), login), kind, _Handler)
    except OSError as error:
        raise UserError(f"port: {port} of {address} cannot be listened on ({error.strerror}); give another.") from None
