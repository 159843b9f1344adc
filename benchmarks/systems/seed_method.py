"""The method that genfleet's user had before, as they wrote it down: a semaphore, batches, pauses, three tries."""

from __future__ import annotations

import asyncio
import sys

from openai import AsyncOpenAI, RateLimitError

from benchmarks.bench import Bench
from benchmarks.peers.common import Task, done, prompt, read_task
from benchmarks.systems.base import Outcome, System, driven

MAX_CONCURRENT = 45
BATCH_DELAY_MS = 500
_BATCH = 100


class Seed(System):
    """One process, told nothing of the limits but how many calls may be in flight."""

    name = "seed"

    def run(self, bench: Bench) -> Outcome:
        """As `System.run`."""
        return driven(bench, sys.executable, __name__)


async def _generate(task: Task) -> Outcome:
    # Their client is made without max_retries, so that it tries each call twice more by itself, after what the
    # provider says in Retry-After. That serves them well, and it is what they ran.
    client = AsyncOpenAI(base_url=task.base_url)
    concurrent = task.concurrent or MAX_CONCURRENT
    semaphore = asyncio.Semaphore(concurrent)

    async def api_call_with_retry(text: str, max_retries: int = 3) -> str | None:
        for attempt in range(max_retries):
            try:
                response = await client.chat.completions.create(
                    model=task.model,
                    messages=[{"role": "user", "content": text}],
                    temperature=0.9,
                    max_tokens=task.max_tokens,
                    top_p=0.95,
                )
                return response.choices[0].message.content
            except RateLimitError:
                if attempt < max_retries - 1:
                    await asyncio.sleep(2**attempt)
        return None

    async def one(number: int) -> str | None:
        async with semaphore:
            return await api_call_with_retry(prompt(number))

    answers: list[str | None] = []
    for first in range(0, task.examples, _BATCH):
        answers += await asyncio.gather(*map(one, range(first, min(first + _BATCH, task.examples))))
        await asyncio.sleep(BATCH_DELAY_MS / 1000)
    answered = sum(answer is not None for answer in answers)
    return Outcome(answered, f"semaphore {concurrent}, batches of {_BATCH}, 3 tries", {})


if __name__ == "__main__":
    outcome = asyncio.run(_generate(read_task()))
    done(outcome.answered, outcome.how)
