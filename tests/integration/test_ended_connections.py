"""A connection to the broker that has ended says so with the next question, whatever the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import redis

from ledger.leases import Leases

uvloop = pytest.importorskip("uvloop")


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_connection_that_has_ended(redis_url: str, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """It raises what is waited out: uvloop's own error would be taken for a mistake, and a paid answer be lost."""

    async def asked() -> None:
        leases = Leases(redis_url, "w")
        pool = leases._redis.connection_pool
        connection = await pool.get_connection()
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        try:
            with pytest.raises(redis.ConnectionError):
                await connection.send_command("GET", "x" * 2**22, check_health=False)
        finally:
            await pool.release(connection)
            await leases.close()

    loop = new_loop()
    try:
        loop.run_until_complete(asked())
    finally:
        loop.close()
