"""Curator's LLM class, its limits in `backend_params`.

Settings and why: requests and tokens per minute as declared. Where none are, it asks the provider with a request that
must fail and reads the answer's headers; the simulated provider gives none there, so its own defaults (200 requests
and 100,000 tokens per minute) hold. With a provider that does, it would find the limit. Ten retries, its default.
Not all responses are required, so that one that fails does not discard the others; an answer that was cut is taken,
because the simulated provider gives the same answer to the same request, however often it is asked. No
`response_format`: it would cost another call to find out whether the model takes one.
"""

# What it drives is installed in another environment, where there is one.
# mypy: disable-error-code="import-not-found,import-untyped,misc"

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import litellm

# It counts tokens by a table that it would fetch from the network; litellm, which it needs too, ships that table.
os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(litellm.__file__).parent / "litellm_core_utils" / "tokenizers")

from bespokelabs import curator

from benchmarks.peers.common import done, prompt, read_task


class Writer(curator.LLM):
    """Sends a row's prompt as it is."""

    def prompt(self, row: dict[str, Any]) -> str:
        """The prompt of one row."""
        return str(row["prompt"])

    def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
        """The row with its answer."""
        return {"number": row["number"], "answer": response}


def _main() -> None:
    task = read_task()
    limits = {
        "max_requests_per_minute": task.rpm,
        "max_tokens_per_minute": task.tpm,
        "max_concurrent_requests": task.concurrent,
    }
    declared = {name: value for name, value in limits.items() if value is not None}
    writer = Writer(
        model_name=task.model,
        backend="openai",
        backend_params={
            "base_url": task.base_url,
            "require_all_responses": False,
            "invalid_finish_reasons": ["content_filter"],
            **declared,
        },
        generation_params={"max_tokens": task.max_tokens},
    )
    rows = [{"number": number, "prompt": prompt(number)} for number in range(task.examples)]
    answers = writer(rows, working_dir=f"{task.folder}/curator").dataset
    answered = sum(bool(answer) for answer in answers["answer"])
    done(answered, ", ".join(f"{name} {value}" for name, value in declared.items()) or "its default limits")


if __name__ == "__main__":
    _main()
