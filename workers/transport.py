"""The way of messages into this process: kombu's own for Redis, behind a check of everything that comes.

kombu takes what is in the broker as it is: one text in a queue that is no message of its own ends the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.app import amqp
from kombu import Connection as KombuConnection
from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import Transport as RedisTransport
from kombu.utils.encoding import bytes_to_str

from config.logs import log
from workers.messages import Malformed, read_control, read_envelope, read_task

_PIDBOX = ".pidbox"


def _taken(reply: Any) -> Any:
    """The reply to a BRPOP, a queue and a message; nothing where the message is discarded."""
    if not reply:
        return None
    queue = bytes_to_str(reply[0])
    read: Callable[[bytes], Any] = read_envelope
    if queue.startswith("generate."):
        read = lambda raw: read_task(raw, queue)  # noqa: E731
    return tuple(reply) if _is_good(read, reply[1], queue) else None


def _is_good(read: Callable[[bytes], Any], raw: Any, place: str) -> bool:
    try:
        read(raw if isinstance(raw, bytes) else str(raw).encode())
    except Malformed as malformed:
        log("message_discarded", place=place, why=malformed)
        return False
    return True


class Channel(RedisChannel):
    """A channel that hands on no message that is not one."""

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        # kombu asks for one with every message it sends or acknowledges. They share a pool, so one will do, and to make
        # it costs more than to use it: redis-py fills a table of all replies' types for each.
        if not asynchronous and self._kept is not None and self._kept.connection_pool is self.pool:
            return self._kept
        client = super()._create_client(asynchronous)
        if not asynchronous:
            self._kept = client
        client.set_response_callback("BRPOP", _taken)
        return client

    def _handle_message(self, client: Any, r: Any) -> Any:
        """What came by subscription: commands to workers, and events."""
        payload = super()._handle_message(client, r)
        if bytes_to_str(payload["type"]).endswith("message"):
            place = bytes_to_str(payload["channel"])
            if not _is_good(read_control if place.endswith(_PIDBOX) else read_envelope, payload["data"], place):
                payload["data"] = None
        return payload


class Transport(RedisTransport):
    """kombu's transport with the channel above."""

    Channel = Channel


class Connection(KombuConnection):
    """A connection that keeps its scheme, redis or rediss, and takes the transport above."""

    def get_transport_cls(self) -> type[Transport]:
        """The transport, whatever the URL."""
        return Transport


class AMQP(amqp.AMQP):
    """Celery's messaging by the connection above."""

    Connection = Connection
    BrokerConnection = Connection
