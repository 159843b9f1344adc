"""The simulated provider's knowledge: three facts for each theme of the built-in recipes."""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from console.provider.answers.prompt import Ask


@dataclass(frozen=True)
class Fact:
    """A fact as question and answer, with three wrong answers, and as a sentence that holds the answer once."""

    question: str
    answer: str
    wrong: tuple[str, str, str]
    sentence: str
    why: str


@dataclass(frozen=True)
class Theme:
    """A theme of a school subject, by the names that the request uses."""

    subject: str
    name: str
    facts: tuple[Fact, ...]


@lru_cache(maxsize=1)
def themes() -> tuple[Theme, ...]:
    """All themes, in the order of their file."""
    text = (resources.files(__package__) / "facts.toml").read_text(encoding="utf-8")
    return tuple(
        Theme(
            entry["materia"],
            entry["tema"],
            tuple(
                Fact(fact["domanda"], fact["risposta"], tuple(fact["altre"]), fact["frase"], fact["perche"])
                for fact in entry["fatti"]
            ),
        )
        for entry in tomllib.loads(text)["temi"]
    )


def theme(ask: Ask, rng: random.Random) -> Theme:
    """The theme asked for; one of the same subject, or any, under the asked name where there is none of that name."""
    topic, subject = ask.topic, ask.label("materia").lower()
    named = [known for known in themes() if known.name == topic]
    mentioned = [known for known in themes() if known.name.lower() in ask.text.lower()]
    if found := named or mentioned:
        return found[0]
    alike = [known for known in themes() if subject and known.subject.lower() == subject]
    close = rng.choice(alike or themes())
    return Theme(subject or close.subject, topic or close.name, close.facts)
