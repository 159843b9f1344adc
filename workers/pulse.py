"""Whether this process still does what it is for: Celery has been seen alive and deaf, asking for no messages."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

#: Celery asks several times a second where there is room, and gives a connection up after a third of this.
SILENT_SECONDS = 30.0


class Pulse:
    """What housekeeping sees of the two loops of its process, Celery's and our own. Times by one monotonic clock."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._room_since = clock()

    def nothing_known(self) -> None:
        """The broker is away or refuses: who does not ask for tasks then does no wrong."""
        self._since = self._clock()

    def silent(self, *, asked_at: float, turned_at: float, has_room: bool) -> str | None:
        """Why the process is of no use any more, as the end of a sentence; None where it is.

        Args:
            asked_at: when Celery last asked for messages.
            turned_at: when the event loop last did what it was given.
            has_room: whether the process could hold another task.
        """
        now = self._clock()
        if not has_room:
            self._room_since = now
        if now - max(turned_at, self._since) > SILENT_SECONDS:
            return "its event loop stands still"
        if now - max(asked_at, self._room_since, self._since) > SILENT_SECONDS:
            return "Celery asks for no tasks though there is room"
        return None
