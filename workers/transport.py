"""The way of messages into this process: kombu's own for Redis, behind a check of everything that comes.

kombu takes what is in the broker as it is: one text in a queue that is no message of its own ends the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from queue import Empty
from time import monotonic
from typing import Any

from celery.app import amqp
from kombu import Connection as KombuConnection
from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import Transport as RedisTransport
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import ResponseError

from config.logs import log
from workers.messages import Malformed, Message, read_control, read_envelope, read_task
from workers.turns import AT_ONCE, turns

_PIDBOX = ".pidbox"
_TASKS = "generate."
_WORKERS = "worker."
_NO_BLMPOP = ("unknown command", "no permissions", "NOPERM")


def _one_taken(reply: Any) -> Any:
    """The reply to a BRPOP, a queue and a message; nothing where the message is discarded."""
    return reply if reply and _from_queue(reply[1], bytes_to_str(reply[0])) is not None else None


def _many_taken(reply: Any) -> Any:
    """The reply to a BLMPOP: a queue and its messages, decoded, but for those that are discarded."""
    if not reply:
        return None
    queue = bytes_to_str(reply[0])
    messages = [_from_queue(raw, queue) for raw in reply[1]]
    return queue, [message for message in messages if message is not None]


def _from_queue(raw: Any, queue: str) -> Message | None:
    return _read(partial(read_task, queue=queue) if queue.startswith(_TASKS) else read_envelope, raw, queue)


def _read(read: Callable[[bytes], Message], raw: Any, place: str) -> Message | None:
    """The message, or None where it is discarded."""
    try:
        return read(raw if isinstance(raw, bytes) else str(raw).encode())
    except Malformed as malformed:
        log("message_discarded", place=place, why=malformed)
        return None


class Channel(RedisChannel):
    """A channel that hands on no message that is not one, and takes several tasks at once where there is room.

    kombu takes one at a time, so that on a way of 20 ms to the broker no process starts more than 50 tasks a second,
    and asks again for each.
    """

    listeners: int | None = None
    """How many clients heard what this worker last told of itself; None where it has told nothing."""
    _heard = 0
    _kept: Any = None
    _takes_many = True
    _asked_many = False

    def _create_client(self, asynchronous: bool = False) -> Any:
        # kombu asks for one with every message it sends or acknowledges. They share a pool, so one will do, and to make
        # it costs more than to use it: redis-py fills a table of all replies' types for each.
        if not asynchronous and self._kept is not None and self._kept.connection_pool is self.pool:
            return self._kept
        client = super()._create_client(asynchronous)
        if not asynchronous:
            self._kept = client
        client.set_response_callback("BRPOP", _one_taken)
        client.set_response_callback("BLMPOP", _many_taken)
        client.set_response_callback("PUBLISH", self._heard_by)
        return client

    def _brpop_start(self, timeout: float | None = None) -> None:
        if not self._takes_many or not any(queue.startswith(_TASKS) for queue in self.active_queues):
            super()._brpop_start(timeout)
            return
        count = min(AT_ONCE, self.qos.can_consume_max_estimate() or 1)
        if count < turns.ahead:
            return  # one question for several soon, instead of one for each now
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        self._in_poll, self._asked_many = self.client.connection, True
        self._brpop_sent_at = monotonic()
        seconds = (self.brpop_timeout if timeout is None else timeout) or 0
        self.client.connection.send_command("BLMPOP", seconds, len(queues), *queues, "RIGHT", "COUNT", count)

    def _brpop_read(self, **options: Any) -> Any:
        if not self._asked_many:
            return super()._brpop_read(**options)
        self._asked_many = False
        try:
            queue, messages = self._read_many(options)
            for message in messages:
                self._queue_cycle.rotate(queue)
                self.connection._deliver(message, queue)
        finally:
            # As kombu's own does.
            self._in_poll = None
            self._flush_brpop_reauth()
        return True

    def _read_many(self, options: Any) -> tuple[str, list[Message]]:
        try:
            reply = self.client.parse_response(self.client.connection, "BLMPOP", **options)
        except self.connection_errors:
            self.client.connection.disconnect()
            raise
        except ResponseError as error:
            if not any(word in str(error) for word in _NO_BLMPOP):
                raise
            # A server before Redis 7, or a user who may not: one at a time will do.
            self._takes_many = False
            raise Empty from None
        if not reply or not reply[1]:
            raise Empty
        found: tuple[str, list[Message]] = reply
        return found

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **options: Any) -> None:
        """What is told to all; the broker answers how many heard it."""
        self._heard = 0
        super()._put_fanout(exchange, message, routing_key, **options)
        if (routing_key or "").startswith(_WORKERS):
            self.listeners = self._heard

    def _heard_by(self, clients: int) -> int:
        self._heard += clients
        return clients

    def _handle_message(self, client: Any, r: Any) -> Any:
        """What came by subscription: commands to workers, and events."""
        payload = super()._handle_message(client, r)
        if bytes_to_str(payload["type"]).endswith("message"):
            place = bytes_to_str(payload["channel"])
            if _read(read_control if place.endswith(_PIDBOX) else read_envelope, payload["data"], place) is None:
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
