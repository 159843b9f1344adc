"""Whether a request that acts comes from our own page, and not from another site in the same browser."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tornado.web import HTTPError

from console.services import LOOPBACK


def refuse_other_sites(request: Any, has_login: object) -> None:
    """Raises HTTPError for what another site's page has sent; the token is checked beside this.

    Where nobody logs in, a name that an attacker makes point at this machine would make his page our own (DNS
    rebinding): so then only a name of this machine itself is ours.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in (None, "same-origin") or (origin is not None and urlsplit(origin).netloc != request.host):
        raise HTTPError(403, "This comes from another site's page, and is not done.")
    if not has_login and urlsplit(f"//{request.host}").hostname not in LOOPBACK:
        raise HTTPError(403, "Under this address Flower acts for people who log in: set FLOWER_BASIC_AUTH.")
