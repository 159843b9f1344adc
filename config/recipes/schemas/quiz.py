"""A question with options, one of them right."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from config.recipes.schemas.base import Closed, between, count, folded, repeated, shown

# An option that speaks of the others loses its sense as soon as the options are shuffled.
_ABOUT_OTHERS = re.compile(
    r"(tutte|nessuna|entrambe)( le| delle)? ((altre|risposte|opzioni) )?(precedenti|altre|risposte|opzioni)\W*",
    re.IGNORECASE,
)


class Quiz(Closed):
    """A question, its options, the right one, and why."""

    question: Annotated[str, between(10, 800)] = Field(
        description="La domanda, completa e comprensibile senza leggere le opzioni."
    )
    options: Annotated[list[Annotated[str, between(1, 300)]], count(3, 5)] = Field(
        description="Quattro opzioni diverse tra loro, senza lettere né numeri davanti; una sola è giusta."
    )
    answer: Annotated[str, between(1, 300)] = Field(
        description="L'opzione giusta, copiata alla lettera dalla lista delle opzioni."
    )
    explanation: Annotated[str, between(20, 2000)] = Field(
        description="Perché quella risposta è giusta e in che cosa sbagliano le altre."
    )

    @model_validator(mode="after")
    def _one_right_option(self) -> Self:
        if twice := repeated(self.options):
            raise ValueError(f"the option {shown(twice)} is given twice.")
        for option in self.options:
            if _ABOUT_OTHERS.fullmatch(option):
                raise ValueError(f"the option {shown(option)} speaks of the other options.")
        right = [option for option in self.options if folded(option) == folded(self.answer)]
        if not right:
            raise ValueError(f"the answer {shown(self.answer)} is not among the options.")
        self.answer = right[0]
        return self
