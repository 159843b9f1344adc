"""The least that can be done: `AsyncOpenAI` over aiohttp, so many calls in flight, every answer dropped.

It knows no limit, keeps nothing, checks nothing, and ends at the first failure: what the same calls cost with nothing
around them.
"""

from __future__ import annotations

import asyncio
import sys

from httpx2 import Limits
from openai import AsyncOpenAI, DefaultAioHttpClient

from benchmarks.bench import Bench
from benchmarks.peers.common import SCHEMA, Task, done, prompt, read_task
from benchmarks.systems.base import Outcome, System, driven


class BareLoop(System):
    """One process, one loop."""

    name = "bare loop"

    def run(self, bench: Bench) -> Outcome:
        """As `System.run`."""
        return driven(bench, sys.executable, __name__)


async def _generate(task: Task) -> int:
    # By default 1,000 connections, for which the others would wait until they fail; aiohttp takes 0 for no limit.
    many = DefaultAioHttpClient(limits=Limits(max_connections=0))
    client = AsyncOpenAI(base_url=task.base_url, max_retries=0, timeout=120, http_client=many)
    numbers = iter(range(task.examples))
    answered = 0

    async def work() -> None:
        nonlocal answered
        for number in numbers:
            response = await client.chat.completions.create(
                model=task.model,
                messages=[{"role": "user", "content": prompt(number)}],
                max_tokens=task.max_tokens,
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "bench", "strict": True, "schema": SCHEMA},
                },
            )
            answered += bool(response.choices[0].message.content)

    async with client:
        await asyncio.gather(*(work() for _ in range(task.in_flight)))
    return answered


if __name__ == "__main__":
    told = read_task()
    done(asyncio.run(_generate(told)), f"{told.in_flight} in flight, nothing kept")
