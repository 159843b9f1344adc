"""Simulated quiz questions."""

from __future__ import annotations

import random
from typing import Any

from console.provider.answers.facts import theme
from console.provider.answers.prompt import Ask

_OPENINGS = (
    "{question}",
    "Leggi con attenzione e scegli la risposta giusta. {question}",
    "Durante un ripasso su «{topic}» un compagno ti chiede: {question}",
    "Pensa a ciò che hai studiato su «{topic}». {question}",
    "In una ricerca dedicata a «{topic}» si deve rispondere a questa domanda: {question}",
)
_WHY_NOT = (
    "«{wrong}» è una risposta che si sente spesso, ma riguarda un altro caso",
    "chi sceglie «{wrong}» confonde due nozioni vicine",
    "«{wrong}» non risponde a ciò che la domanda chiede",
    "«{wrong}» sembra plausibile, ma i fatti la smentiscono",
)


def make(ask: Ask, rng: random.Random) -> dict[str, Any]:
    """One question with four options, as the class Quiz wants it."""
    about = theme(ask, rng)
    fact = rng.choice(about.facts)
    options = [fact.answer, *fact.wrong]
    rng.shuffle(options)
    reasons = rng.sample(_WHY_NOT, len(fact.wrong))
    mistakes = "; ".join(text.format(wrong=wrong) for text, wrong in zip(reasons, fact.wrong, strict=True))
    return {
        "question": rng.choice(_OPENINGS).format(question=fact.question, topic=about.name),
        "options": options,
        "answer": fact.answer,
        "explanation": (
            f"L'argomento è «{about.name}». {fact.sentence} {fact.why} Le altre opzioni sono sbagliate: {mistakes}."
        ),
    }
