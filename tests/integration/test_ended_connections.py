"""A broker that drops its clients: what is asked next says that the connection has ended, whatever the event loop."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
import redis

from ledger.leases import Leases, Settlement

uvloop = pytest.importorskip("uvloop")


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_connection_that_was_reset(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Settling many at once over connections that end meanwhile raises what is waited out, and nothing else."""

    async def meet(reader: Any, writer: Any) -> None:
        await reader.read(10)
        own = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def settled(leases: Leases) -> BaseException | None:
        # An answer so long that its end is written when the connection is gone.
        try:
            await leases.settle("j-1", "m", 1, "t", Settlement(outcome="again"), {"text": "x" * 2**22}, [])
        except Exception as error:
            return error
        return None

    async def raised() -> list[BaseException | None]:
        server = await asyncio.start_server(meet, "127.0.0.1", 0)
        leases = Leases(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", "w")
        found = [await settled(leases) for _ in range(20)] + list(await asyncio.gather(*[settled(leases)] * 1))
        await leases.close()
        server.close()
        return found

    loop = new_loop()
    try:
        found = loop.run_until_complete(raised())
    finally:
        loop.close()
    assert {type(error) for error in found} <= {redis.ConnectionError, redis.TimeoutError}
