"""A text with numbered blanks, and the words that fill them."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from config.recipes.schemas.base import Closed, between, count, folded, repeated, shown, spaced

_BLANK = re.compile(r"_+(\d+)_+")


class Cloze(Closed):
    """A text with blanks ___1___, ___2___, …, the answers in order, wrong words to choose among, the whole text."""

    title: Annotated[str, between(3, 150)] = Field(description="Un titolo breve.")
    text: Annotated[str, between(80, 5000)] = Field(
        description="Il testo da completare; gli spazi sono ___1___, ___2___ e così via, nell'ordine in cui compaiono."
    )
    answers: Annotated[list[Annotated[str, between(1, 80)]], count(3, 12)] = Field(
        description="Le parole tolte, una per spazio, nello stesso ordine, come stanno nel testo."
    )
    distractors: Annotated[list[Annotated[str, between(1, 80)]], count(2, 6)] = Field(
        description=(
            "Da 2 a 6 parole in più per la lista di scelta, dello stesso tipo delle altre, che non vanno bene "
            "in nessuno spazio."
        )
    )
    solution: Annotated[str, between(80, 6000)] = Field(
        description="Il testo completo: identico al testo da completare, con ogni spazio riempito."
    )

    @model_validator(mode="after")
    def _blanks_match_answers(self) -> Self:
        blanks = [int(number) for number in _BLANK.findall(self.text)]
        if "_" in _BLANK.sub("", self.text):
            raise ValueError(f"the text {shown(self.text)} has a blank without a number.")
        if blanks != list(range(1, len(blanks) + 1)):
            raise ValueError(f"the blanks are numbered {', '.join(map(str, blanks))}, not 1, 2, 3… in their order.")
        if len(blanks) != len(self.answers):
            raise ValueError(f"the text has {len(blanks)} blanks, and there are {len(self.answers)} answers.")
        for answer in self.answers:
            if "_" in answer:
                raise ValueError(f"the answer {shown(answer)} is itself a blank.")
        restored = spaced(_BLANK.sub(lambda blank: self.answers[int(blank[1]) - 1], self.text))
        if restored != spaced(self.solution):
            raise ValueError(
                f"the text filled with the answers differs from the solution at {_parting(self, restored)}."
            )
        if twice := repeated(self.distractors):
            raise ValueError(f"the distractor {shown(twice)} is given twice.")
        right = {folded(answer) for answer in self.answers}
        for distractor in self.distractors:
            if folded(distractor) in right:
                raise ValueError(f"the distractor {shown(distractor)} is one of the answers.")
        return self


def _parting(cloze: Cloze, restored: str) -> str:
    solution = spaced(cloze.solution)
    pairs = enumerate(zip(restored, solution, strict=False))
    place = next((i for i, (ours, theirs) in pairs if ours != theirs), min(len(restored), len(solution)))
    return shown(restored[max(0, place - 20) : place + 20])
