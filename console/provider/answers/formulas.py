"""Simulated formulas."""

from __future__ import annotations

import random
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

from console.provider.answers.prompt import Ask

_OPENINGS = (
    "Per l'argomento «{topic}» questa relazione è il punto di partenza.",
    "La formula appartiene all'argomento «{topic}».",
    "Chi studia «{topic}» la incontra quasi subito.",
    "Nel capitolo dedicato a «{topic}» la si usa di continuo.",
)


@lru_cache(maxsize=1)
def known() -> tuple[dict[str, Any], ...]:
    """The formulas of formulas.toml, in its order."""
    text = (resources.files(__package__) / "formulas.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["formule"])


def make(ask: Ask, rng: random.Random) -> dict[str, Any]:
    """One formula, explained, as the class Formulas wants it."""
    topic, subject = ask.topic, ask.label("materia").lower()
    fitting = [one for one in known() if any(word in topic.lower() for word in one["parole"])]
    alike = [one for one in known() if one["materia"] == subject]
    formula = rng.choice(fitting or alike or known())
    opening = rng.choice(_OPENINGS).format(topic=topic or formula["materia"])
    symbols = list(formula["simboli"])
    return {
        "name": formula["nome"],
        "latex": formula["latex"],
        "symbols": [{"symbol": symbol, "meaning": meaning, "unit": unit} for symbol, meaning, unit in symbols],
        "explanation": f"{opening} {formula['spiegazione']}",
        "example": formula["esempio"],
    }
