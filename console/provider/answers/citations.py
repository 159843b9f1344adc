"""Simulated answers that cite a passage."""

from __future__ import annotations

import random
import re
from typing import Any

from console.provider.answers.prompt import Ask
from console.provider.answers.quotations import keyword, quotations

_QUESTIONS = (
    "Che cosa si può dire di «{key}», e con quali prove?",
    "Quali fatti aiutano a capire «{key}»?",
    "Come viene presentato l'argomento «{key}»?",
    "Quali sono i punti principali su «{key}», e dove si trovano?",
)
_FIRST = (
    "Il testo afferma che «{quote}»",
    "Si legge prima di tutto che «{quote}»",
    "Il punto di partenza è questo: «{quote}»",
)
_NEXT = (
    "Inoltre precisa: «{quote}»",
    "A questo si aggiunge che «{quote}»",
    "Poco oltre si legge: «{quote}»",
    "Infine, «{quote}»",
)
_COUNTS = {"due": 2, "tre": 3, "quattro": 4}
_MARK = re.compile(r"\s*\[\d+\]")


def make(ask: Ask, rng: random.Random) -> dict[str, Any]:
    """A question about the passage with a cited answer, as the class Citations wants it."""
    asked = ask.label("citazioni").partition(",")[0]
    # A passage too short to quote from is quoted whole, and left to the checks.
    quotes = quotations(ask.passage, _COUNTS.get(asked, rng.randint(2, 4)), rng) or [ask.passage]
    openings = [rng.choice(_FIRST), *rng.sample(_NEXT, len(_NEXT))]
    claims = [
        f"{opening.format(quote=_MARK.sub('', quote).rstrip('.;:,'))} [{number}]."
        for number, (opening, quote) in enumerate(zip(openings, quotes, strict=False), start=1)
    ]
    return {
        "question": rng.choice(_QUESTIONS).format(key=keyword(quotes[0], rng)),
        "answer": " ".join(claims),
        "citations": [{"id": number, "quote": quote} for number, quote in enumerate(quotes, start=1)],
    }
