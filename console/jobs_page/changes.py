"""A picture that many browsers look at, of which each is sent what has changed since it last looked."""

from __future__ import annotations

import secrets
from typing import Any

_MISSING = object()


class Changes:
    """The parts of a picture, each with the version in which it became what it is."""

    def __init__(self) -> None:
        # Another process counts from the start, and is not to be mistaken for this one.
        self._epoch = secrets.token_hex(4)
        self._version = 0
        self._parts: dict[str, tuple[int, Any]] = {}

    def take(self, parts: dict[str, Any]) -> None:
        """The picture as it is now; parts that are not named any more are gone."""
        self._version += 1
        old = self._parts
        self._parts = {
            name: old[name] if old.get(name, (0, _MISSING))[1] == value else (self._version, value)
            for name, value in parts.items()
        }

    def since(self, cursor: str) -> dict[str, Any]:
        """What has changed since `cursor` was given, all of it for one that is not ours, and the next cursor."""
        epoch, _, version = cursor.partition("-")
        known = int(version) if epoch == self._epoch and version.isdigit() else 0
        changed = {name: value for name, (at, value) in self._parts.items() if at > known}
        return {"cursor": f"{self._epoch}-{self._version}", "parts": changed}
