"""What every driver shares: the prompt, and how it is told what to do. Only the standard library may be used here."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import Any

#: {number} makes each example another one.
PROMPT = (
    "Sei un insegnante di scuola media. Scrivi in italiano una domanda di storia, la numero {number}, con la sua "
    "risposta: la domanda in una frase, la risposta in tre o quattro frasi chiare, con almeno una data e un luogo, "
    "adatte a una verifica in classe."
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
    "additionalProperties": False,
}

#: Where nothing is declared that it could be worked out from.
_IN_FLIGHT = 100


@dataclass(frozen=True)
class Task:
    """What to do.

    Attributes:
        tokens_per_call: what a call takes from the tokens per minute on the mean, for those who must be told.
        latency_seconds: of a call on the mean.
        limits: requests_per_minute, tokens_per_minute, concurrent_requests, as far as they are declared.
    """

    base_url: str
    model: str
    examples: int
    max_tokens: int
    tokens_per_call: int
    latency_seconds: float
    folder: str
    limits: dict[str, float]

    @property
    def rpm(self) -> int | None:
        """Requests per minute."""
        return self._whole("requests_per_minute")

    @property
    def tpm(self) -> int | None:
        """Tokens per minute."""
        return self._whole("tokens_per_minute")

    @property
    def concurrent(self) -> int | None:
        """Calls in flight."""
        return self._whole("concurrent_requests")

    @property
    def calls_per_minute(self) -> float | None:
        """What the limits per minute allow; None where none is declared."""
        bounds = [float(self.rpm)] if self.rpm else []
        if self.tpm:
            bounds.append(self.tpm / self.tokens_per_call)
        return min(bounds, default=None)

    @property
    def in_flight(self) -> int:
        """For those that hold a number of calls in flight: a fifth above what the limits ask for at this latency.

        A user works this out by hand. Fewer could not use the limit, and more meet more 429s; of 60, 100 and all
        calls at once, 60 served them best where the limit asks for 50.
        """
        if self.concurrent is not None:
            return self.concurrent
        calls = self.calls_per_minute
        return _IN_FLIGHT if calls is None else math.ceil(1.2 * calls / 60 * self.latency_seconds)

    def _whole(self, name: str) -> int | None:
        value = self.limits.get(name)
        return None if value is None else int(value)


def read_task() -> Task:
    """The task on the command line."""
    return Task(**json.loads(sys.argv[1]))


def prompt(number: int) -> str:
    """The prompt of one example, the schema in words: asking for JSON by the API costs the same tokens."""
    return f"{PROMPT.format(number=number)}\n{json.dumps(SCHEMA, separators=(',', ':'))}"


def done(answered: int, how: str) -> None:
    """Says how it ended."""
    print(json.dumps({"answered": answered, "how": how}), flush=True)
