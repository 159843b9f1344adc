"""An answer whose every claim cites the passage."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, model_validator

from config.recipes.schemas.base import Closed, between, count
from config.recipes.schemas.passages import all_quoted, passage

_MARK = re.compile(r"\[(\d+)\]")


class Citation(Closed):
    """One quotation, under the number that the answer cites it by."""

    id: int = Field(description="Il numero della citazione: 1, 2, 3…")
    quote: Annotated[str, between(10, 1500)] = Field(
        description="Le parole del passaggio, copiate alla lettera, almeno quattro parole di seguito."
    )


class Citations(Closed):
    """A question, an answer with marks [1], [2], …, and the quotations behind the marks."""

    question: Annotated[str, between(10, 600)] = Field(description="La domanda sul passaggio.")
    answer: Annotated[str, between(20, 4000)] = Field(
        description="La risposta; dopo ogni affermazione il numero della citazione che la sostiene: [1], [2]…"
    )
    citations: Annotated[list[Citation], count(1, 8)] = Field(
        description="Le citazioni, da 1 a 8, numerate da 1 nell'ordine in cui la risposta le usa per la prima volta."
    )

    @model_validator(mode="after")
    def _cites_passage(self, info: ValidationInfo) -> Self:
        source = passage(info)
        for citation, quote in zip(
            self.citations, all_quoted([citation.quote for citation in self.citations], source), strict=True
        ):
            citation.quote = quote
        given = [citation.id for citation in self.citations]
        if given != list(range(1, len(given) + 1)):
            raise ValueError(f"the citations are numbered {_listed(given)}, not from 1 without a gap.")
        used = list(dict.fromkeys(int(mark) for mark in _MARK.findall(self.answer)))
        if unknown := [mark for mark in used if mark not in given]:
            raise ValueError(f"the answer cites {_listed(unknown)}, and no citation has that number.")
        if unused := [mark for mark in given if mark not in used]:
            raise ValueError(f"the answer never cites {_listed(unused)}.")
        if used != given:
            raise ValueError(f"the answer cites in the order {_listed(used)}, not {_listed(given)}.")
        return self


def _listed(marks: list[int]) -> str:
    return ", ".join(f"[{mark}]" for mark in marks)
