"""Simulated answers that rest on a passage."""

from __future__ import annotations

import random
from typing import Any

from console.provider.answers.prompt import Ask
from console.provider.answers.quotations import keyword, quotations

_QUESTIONS = (
    "Che cosa si sa a proposito di «{key}»?",
    "Che cosa viene detto su «{key}» e sul suo contesto?",
    "Mi serve per una ricerca: quali informazioni ci sono su «{key}»?",
    "Puoi spiegarmi in breve il punto che riguarda «{key}»?",
)
_ANSWERS = (
    "L'informazione è questa: {quotes}.",
    "Su questo punto il testo è esplicito: {quotes}.",
    "In breve, ecco ciò che si può affermare: {quotes}.",
)
_UNKNOWN = (
    ("Quanto è costato, in totale, ciò che riguarda «{key}»?", "i costi"),
    ("Chi si oppose a «{key}» e con quali argomenti?", "eventuali oppositori"),
    ("Come si chiamavano i genitori di chi si occupò di «{key}»?", "notizie sulla famiglia"),
    ("Che cosa pensano gli esperti stranieri di «{key}»?", "il parere di esperti stranieri"),
)
_UNANSWERED = (
    "Il passaggio non contiene questa informazione: parla di «{key}», ma non riporta {what}.",
    "Il testo non permette di rispondere: nomina «{key}» senza indicare {what}.",
)


def make(ask: Ask, rng: random.Random) -> dict[str, Any]:
    """A question about the passage with its answer and evidence, as the class Rag wants it."""
    quotes = quotations(ask.passage, rng.randint(1, 3), rng)
    absent = "assente" in ask.label("presenza della risposta")
    if absent or not quotes:
        key = keyword(" ".join(quotes) or ask.passage, rng)
        question, what = rng.choice(_UNKNOWN)
        return {
            "question": question.format(key=key),
            "answerable": False,
            "evidence": [],
            "answer": rng.choice(_UNANSWERED).format(key=key, what=what),
        }
    quoted = "; ".join(f"«{quote.rstrip('.;:,')}»" for quote in quotes)
    return {
        "question": rng.choice(_QUESTIONS).format(key=keyword(quotes[0], rng)),
        "answerable": True,
        "evidence": quotes,
        "answer": rng.choice(_ANSWERS).format(quotes=quoted),
    }
