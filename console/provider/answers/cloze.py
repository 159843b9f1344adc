"""Simulated cloze texts."""

from __future__ import annotations

import random
import re
from typing import Any

from console.provider.answers.facts import Theme, theme
from console.provider.answers.prompt import Ask

_OPENINGS = (
    "Chi comincia a studiare «{topic}» incontra presto alcune idee che vale la pena di fissare.",
    "Questo testo presenta in breve l'argomento «{topic}» e i suoi punti essenziali.",
    "Tra i temi che si affrontano a scuola, «{topic}» è uno di quelli che tornano più spesso.",
    "Per orientarsi nell'argomento «{topic}» conviene partire da pochi fatti sicuri.",
)
_LONG_WORD = re.compile(r"(?<![\w'])[a-zàèéìòù]{7,}(?!\w)")


def make(ask: Ask, rng: random.Random) -> dict[str, Any]:
    """One text with its blanks and the words for them, as the class Cloze wants it."""
    about = theme(ask, rng)
    facts = rng.sample(about.facts, len(about.facts))
    wanted = ask.number("spazi", default=rng.randint(3, 6), most=12)
    solution = rng.choice(_OPENINGS).format(topic=about.name)
    chosen: list[tuple[int, int]] = []
    others: list[tuple[int, int]] = []
    for fact in facts:
        start = len(solution) + 1
        answer = start + fact.sentence.index(fact.answer)
        chosen.append((answer, answer + len(fact.answer)))
        solution += f" {fact.sentence} {fact.why}"
        why = start + len(fact.sentence) + 1
        others += [word.span() for word in _LONG_WORD.finditer(solution, why)]
    rng.shuffle(others)
    chosen += others[: max(0, wanted - len(chosen))]
    text, answers = _blanked(solution, sorted(chosen))
    return {
        "title": f"Completa: {about.name}",
        "text": text,
        "answers": answers,
        "distractors": _distractors(about, answers, rng),
        "solution": solution,
    }


def _blanked(solution: str, spans: list[tuple[int, int]]) -> tuple[str, list[str]]:
    pieces, end = [], 0
    for number, (start, stop) in enumerate(spans, start=1):
        pieces += [solution[end:start], f"___{number}___"]
        end = stop
    return "".join([*pieces, solution[end:]]), [solution[start:stop] for start, stop in spans]


def _distractors(about: Theme, answers: list[str], rng: random.Random) -> list[str]:
    taken = {answer.lower() for answer in answers}
    wrong = dict.fromkeys(word for fact in about.facts for word in fact.wrong if word.lower() not in taken)
    return rng.sample(list(wrong), rng.randint(2, 4))
