"""LiteLLM's Router on one deployment, its limits declared there.

Settings and why: `simple-shuffle`, which LiteLLM recommends. `usage-based-routing-v2`, which counts what a deployment
has used in a minute, was tried too: it used as much of the limit where few calls were refused, and a third of it
where many were, because refused calls count as used. Three retries by the Router, which wait for what Retry-After
says; no cooldown, which with one deployment could only refuse calls. The Router refuses what is over a limit instead
of making it wait, so the caller bounds its calls in flight.
"""

# What it drives is installed in another environment, where there is one.
# mypy: disable-error-code="import-not-found,import-untyped,misc"

from __future__ import annotations

import asyncio
from typing import Any

import litellm

from benchmarks.peers.common import Task, done, prompt, read_task


async def _generate(task: Task) -> int:
    limits = {"rpm": task.rpm, "tpm": task.tpm, "max_parallel_requests": task.concurrent}
    deployment: dict[str, Any] = {
        "model": f"openai/{task.model}",
        "api_base": task.base_url,
        **{name: value for name, value in limits.items() if value is not None},
    }
    router = litellm.Router(
        model_list=[{"model_name": "bench", "litellm_params": deployment}],
        routing_strategy="simple-shuffle",
        num_retries=3,
        disable_cooldowns=True,
    )
    semaphore = asyncio.Semaphore(task.in_flight)

    async def one(number: int) -> bool:
        async with semaphore:
            try:
                answer = await router.acompletion(
                    model="bench",
                    messages=[{"role": "user", "content": prompt(number)}],
                    max_tokens=task.max_tokens,
                )
            except litellm.exceptions.RateLimitError:
                return False
            return bool(answer.choices[0].message.content)

    return sum(await asyncio.gather(*map(one, range(task.examples))))


if __name__ == "__main__":
    told = read_task()
    done(asyncio.run(_generate(told)), f"simple-shuffle, {told.in_flight} in flight, num_retries 3")
