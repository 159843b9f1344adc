"""A question about a passage, and an answer that rests on it."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, model_validator

from config.recipes.schemas.base import Closed, between, count, shown
from config.recipes.schemas.passages import all_quoted, passage

_DENIES = re.compile(r"\b(non|né|nessun[oa']?|senza|manca(no)?|assent[ei])\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,\u00a0\u202f]\d+)*")


class Rag(Closed):
    """A question, whether the passage answers it, the evidence, and the answer."""

    question: Annotated[str, between(10, 600)] = Field(
        description="La domanda, comprensibile anche da chi non ha il passaggio davanti."
    )
    answerable: bool = Field(description="true se il passaggio contiene la risposta, false se non la contiene.")
    evidence: Annotated[list[str], count(0, 6)] = Field(
        description=(
            "Le frasi del passaggio su cui poggia la risposta, copiate alla lettera, almeno quattro parole "
            "ciascuna, da 1 a 6; lista vuota se answerable è false."
        )
    )
    answer: Annotated[str, between(10, 4000)] = Field(
        description=(
            "La risposta, con le sole informazioni del passaggio; se answerable è false, dice che il passaggio "
            "non contiene la risposta."
        )
    )

    @model_validator(mode="after")
    def _rests_on_passage(self, info: ValidationInfo) -> Self:
        source = passage(info)
        if not self.answerable:
            if self.evidence:
                raise ValueError(f"answerable is false, yet evidence quotes {shown(self.evidence[0])}.")
            if not _DENIES.search(self.answer):
                raise ValueError(f"answerable is false, and the answer {shown(self.answer)} does not say so.")
            return self
        if not self.evidence:
            raise ValueError(f"the answer {shown(self.answer)} is given without evidence from the passage.")
        self.evidence = all_quoted(self.evidence, source)
        if number := _unknown_number(self.answer, f"{source} {self.question}"):
            raise ValueError(f"the answer gives {number}, which neither the passage nor the question holds.")
        return self


def _unknown_number(answer: str, known: str) -> str | None:
    # Short numbers count things or number a list; from three digits on they are facts.
    digits = re.sub(r"[.,\s]", "", known)
    for number in _NUMBER.findall(answer):
        plain = re.sub(r"\D", "", number)
        if len(plain) >= 3 and plain not in digits:
            return str(number)
    return None
