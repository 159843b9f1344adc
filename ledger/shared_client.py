"""An async client whose commands share one connection: each goes out as it comes, and replies come in that order.

redis-py takes a connection from its pool for every command, reads with a timer of its own and gives it back, which is
two thirds of what a command costs in Python. Servers take commands one behind the other without waiting for replies
(https://redis.io/docs/latest/develop/using-commands/pipelining/), so many tasks need no more than one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any, Self, cast

import redis
import redis.asyncio

from ledger.connection import CONNECT_SECONDS, SOCKET_SECONDS

_LOOK_SECONDS = 1.0


class SharedClient(redis.asyncio.Redis):
    """redis-py's client for plain commands and scripts; transactions and what blocks are not for it.

    A connection that breaks, or does not answer within SOCKET_SECONDS, fails all commands that wait for it with
    redis.ConnectionError or redis.TimeoutError; the next command opens another.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._line: _Line | None = None
        self._opening = asyncio.Lock()

    @classmethod
    def of(cls, url: str) -> Self:
        """The client of a broker; nothing is asked yet."""
        client: Any = cls.from_url(
            url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=CONNECT_SECONDS, socket_keepalive=True
        )
        return cast("Self", client)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As redis-py's, on the shared connection."""
        line = self._line
        if line is None or line.broken:
            line = await self._opened()
        reply = await line.ask(args)
        convert = self.response_callbacks.get(args[0])
        return reply if convert is None else convert(reply, **options)

    async def _opened(self) -> _Line:
        async with self._opening:
            if self._line is None or self._line.broken:
                pool: Any = self.connection_pool
                connection = pool.make_connection()
                await connection.connect()
                # From here on `_Line` looks at the clock: once a second, not with every command.
                connection.socket_timeout = None
                self._line = _Line(connection)
            return self._line

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Closes the connection; what still waits for it fails."""
        if self._line is not None:
            await self._line.close()
        await super().aclose(close_connection_pool)


class _Line:
    """The connection, and who waits for its replies: the one that asked first is answered first."""

    def __init__(self, connection: Any) -> None:
        self.broken = False
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._asked: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._tasks = [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._look())]

    async def ask(self, command: tuple[Any, ...]) -> Any:
        packed = self._connection.pack_command(*command)
        reply = self._loop.create_future()
        # Between this and the command's first byte nothing may wait, or another's would come between.
        self._asked.append((reply, self._loop.time()))
        try:
            await self._connection.send_packed_command(packed, check_health=False)
        except redis.RedisError as error:
            self._break(error)
        return await reply

    async def _read(self) -> None:
        while not self.broken:
            try:
                found, error = await self._connection.read_response(), None
            except redis.ResponseError as refused:
                found, error = None, refused
            except redis.RedisError as away:
                self._break(away)
                return
            reply, _ = self._asked.popleft()
            if reply.done():  # who asked was cancelled
                continue
            if error is None:
                reply.set_result(found)
            else:
                reply.set_exception(error)

    async def _look(self) -> None:
        while not self.broken:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._asked and self._loop.time() > self._asked[0][1] + SOCKET_SECONDS:
                self._break(redis.TimeoutError("the broker does not answer"))

    def _break(self, error: redis.RedisError) -> None:
        self.broken = True
        asked, self._asked = self._asked, deque()
        for reply, _ in asked:
            if not reply.done():
                # Of each its own: they are raised in tasks of their own.
                reply.set_exception(type(error)(*error.args))
        for task in self._tasks:
            if task is not asyncio.current_task():
                # One that is reading closes the connection.
                task.cancel()

    async def close(self) -> None:
        self._break(redis.ConnectionError("the connection is closed"))
        await asyncio.wait(self._tasks)
        with contextlib.suppress(redis.RedisError):
            await self._connection.disconnect()
