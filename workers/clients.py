"""A process's clients, one for each provider that it calls, with the keys that are set by now."""

from __future__ import annotations

from typing import Any

from config.models import Model
from config.settings import key_file_stamp
from workers.client import Answer, Client
from workers.errors import Failure


class Clients:
    """Made when they are first needed, on the event loop."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._keyed: set[str] = set()
        self._key_file = key_file_stamp()

    async def call(self, request: dict[str, Any], model: Model, seconds: float) -> Answer | Failure:
        """Makes a call through the one client for the model's provider; never raises for what that does."""
        if (stamp := key_file_stamp()) != self._key_file:
            # Somebody may have put another key there: it is used from now on, without a new start.
            self._key_file, self._keyed = stamp, set()
        name = model.provider.name
        if name not in self._keyed:
            key = model.provider.key()
            if name not in self._clients:
                self._clients[name] = Client(model.provider, key or "")
            elif key is not None:
                self._clients[name].use(key)
            self._keyed.add(name)
        return await self._clients[name].call(request, model, seconds)

    async def close(self) -> None:
        """Closes the connections."""
        for client in self._clients.values():
            await client.close()
