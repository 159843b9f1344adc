"""A problem solved step by step."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from config.recipes.schemas.base import Closed, between, count, repeated, shown, spaced


class Reasoning(Closed):
    """A problem, the steps to its solution, and the answer that the last step reaches."""

    problem: Annotated[str, between(30, 3000)] = Field(
        description="Il testo del problema, con tutti i dati che servono e una domanda precisa."
    )
    steps: Annotated[list[Annotated[str, between(5, 2000)]], count(2, 15)] = Field(
        description=(
            "I passaggi, da 2 a 15, uno per voce: ciascuno fa una cosa sola e dice perché. L'ultimo enuncia la "
            "risposta finale con le stesse parole e la stessa unità di answer."
        )
    )
    answer: Annotated[str, between(1, 300)] = Field(
        description="La risposta finale, breve: un numero con la sua unità, una parola, una frase corta."
    )
    check: Annotated[str, between(10, 1500)] = Field(
        description="La verifica: un altro modo per controllare che la risposta sia giusta."
    )

    @model_validator(mode="after")
    def _ends_in_its_answer(self) -> Self:
        if twice := repeated(self.steps):
            raise ValueError(f"the step {shown(twice)} is given twice.")
        if not _states(self.steps[-1], self.answer):
            raise ValueError(f"the last step, {shown(self.steps[-1])}, does not state the answer {shown(self.answer)}.")
        return self


def _states(step: str, answer: str) -> bool:
    """Whether the step holds the answer as whole words: 4 is neither in 40 nor in 4,5 nor in -4."""
    said, sought = _plain(step), _plain(answer).rstrip(".;!")
    minus = r"(?<![-\u2212])" if sought[:1].isdigit() else ""
    return bool(sought) and bool(re.search(rf"(?<!\w)(?<!\d[.,]){minus}{re.escape(sought)}(?!\w)(?![.,]\d)", said))


def _plain(text: str) -> str:
    # Marks of emphasis and of formulas say nothing about the value.
    return spaced(re.sub(r"\*\*|[$`]|\\[()\[\]]", "", text)).casefold().strip()
