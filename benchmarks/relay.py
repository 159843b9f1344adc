"""A way to the broker that takes its time: `python -m benchmarks.relay PORT MILLISECONDS`.

A TCP relay on a port of its own, which it prints. Whatever comes is handed on, in order, half of the milliseconds later
in each direction, so that a question is answered after all of them; it is as wide as the machine lets it be.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from workers.orphan import end_with_parent

_BLOCK = 262_144


async def _relay(port: int, seconds: float) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while block := await reader.read(_BLOCK):
                loop.call_later(seconds, _write, writer, block)
        loop.call_later(seconds, writer.close)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, there_writer), carry(there_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _write(writer: asyncio.StreamWriter, block: bytes) -> None:
    if not writer.is_closing():
        writer.write(block)


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(_relay(int(sys.argv[1]), float(sys.argv[2]) / 2_000))
