"""Plain Celery as its documentation has it: a task with a rate limit, retried after a 429 with backoff.

Run by the workers (`celery -A benchmarks.systems.celery_app worker`) and, as a script, by the producer.
"""

# Celery ships no types.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery, group
from openai import OpenAI, RateLimitError

from benchmarks.peers.common import Task, done, prompt

task = Task(**json.loads(os.environ["BENCH_TASK"]))
rate_limit = os.environ["BENCH_RATE_LIMIT"] or None

app = Celery("bench", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_BROKER"])
app.conf.worker_prefetch_multiplier = int(os.environ["BENCH_PREFETCH"])
app.conf.broker_connection_retry_on_startup = True
client = OpenAI(base_url=task.base_url, max_retries=0)


@app.task(
    rate_limit=rate_limit,
    autoretry_for=(RateLimitError,),
    max_retries=3,
    retry_backoff=True,
    retry_jitter=True,
)
def generate(number: int) -> str | None:
    """One example."""
    response = client.chat.completions.create(
        model=task.model, messages=[{"role": "user", "content": prompt(number)}], max_tokens=task.max_tokens
    )
    return response.choices[0].message.content


if __name__ == "__main__":
    # By the name under which the workers know it: here this module is called __main__.
    signature: Any = app.signature
    job = group(
        signature("benchmarks.systems.celery_app.generate", args=(number,)) for number in range(task.examples)
    ).apply_async()
    results = job.join_native(propagate=False)
    done(sum(isinstance(result, str) for result in results), "")
