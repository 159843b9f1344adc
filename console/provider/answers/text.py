"""Italian sentences about anything."""

from __future__ import annotations

import random

from console.provider.answers.facts import theme
from console.provider.answers.prompt import Ask

_GENERAL = (
    "A proposito di «{topic}» conviene distinguere i fatti dalle opinioni",
    "Chi si avvicina a «{topic}» per la prima volta fa bene a cominciare da un esempio",
    "Su «{topic}» esistono fonti affidabili, che vanno confrontate tra loro",
    "Di «{topic}» si discute spesso senza definire prima i termini",
    "Un buon modo di presentare «{topic}» è partire da una domanda concreta",
    "Ciò che si sa di «{topic}» è cambiato con il tempo",
)


def sentences(ask: Ask, wanted: int, rng: random.Random) -> list[str]:
    """That many Italian sentences, of facts and of general remarks on the topic; at least the first names it."""
    about = theme(ask, rng)
    general = [f"{remark.format(topic=about.name)}." for remark in rng.sample(_GENERAL, len(_GENERAL))]
    facts = [sentence for fact in about.facts for sentence in (fact.sentence, fact.why)]
    start = rng.randrange(0, len(facts), 2)
    told = [general[0], *facts[start:], *facts[:start], *general[1:]]
    return [told[place % len(told)] for place in range(wanted)]


def prose(ask: Ask, rng: random.Random) -> str:
    """Plain Italian prose, two or three paragraphs."""
    told = sentences(ask, rng.randint(6, 10), rng)
    middle = len(told) // 2
    return f"{' '.join(told[:middle])}\n\n{' '.join(told[middle:])}"
