"""A formula in LaTeX, and what its symbols mean."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from config.recipes.schemas.base import Closed, between, count, shown

# The parser keeps state between calls and belongs to no thread.
_parsing = threading.Lock()


def drawable(latex: str) -> str:
    """The formula without the dollar signs around it, once a renderer has accepted it.

    Raises:
        ValueError: matplotlib's mathtext cannot draw it, and why.
    """
    bare = _undelimited(latex)
    if not bare or "$" in bare.replace(r"\$", ""):
        raise ValueError(f"the formula {shown(latex)} is empty or holds a dollar sign.")
    try:
        with _parsing:
            _parser().parse(f"${bare}$")
    except RecursionError:
        raise ValueError(f"the formula {shown(latex)} is nested too deeply to be drawn.") from None
    except ValueError as error:
        raise ValueError(f"the formula {shown(latex)} cannot be drawn: {_reason(error)}.") from None
    return bare


@lru_cache(maxsize=1)
def _parser() -> Any:
    # Half a second of import that only this recipe needs.
    from matplotlib.mathtext import MathTextParser  # noqa: PLC0415

    return MathTextParser("path")


def _reason(error: ValueError) -> str:
    reason = re.sub(r"^\w+: |, found .*$", "", str(error).splitlines()[-1])
    return reason if len(reason) <= 80 else reason[:79] + "…"


def _undelimited(latex: str) -> str:
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)")):
        if len(latex) > len(opening + closing) and latex.startswith(opening) and latex.endswith(closing):
            return latex[len(opening) : -len(closing)].strip()
    return latex.strip()


Latex = Annotated[str, between(1, 400), AfterValidator(drawable)]


class Symbol(Closed):
    """One symbol of the formula."""

    symbol: Latex = Field(description="Il simbolo in LaTeX, scritto come nella formula.")
    meaning: Annotated[str, between(2, 200)] = Field(description="Che cosa indica.")
    unit: Annotated[str, between(1, 60)] = Field(
        description="L'unità di misura nel SI; «adimensionale» se non ne ha; «dipende dal contesto» se varia."
    )


class Formulas(Closed):
    """A formula with its name, its symbols, an explanation and a worked example."""

    name: Annotated[str, between(3, 150)] = Field(description="Il nome della formula, in italiano.")
    latex: Latex = Field(description="La formula in LaTeX su una riga, senza segni di dollaro.")
    symbols: Annotated[list[Symbol], count(1, 12)] = Field(
        description="I simboli della formula, da 1 a 12, ciascuno una volta."
    )
    explanation: Annotated[str, between(40, 3000)] = Field(
        description="Che cosa dice la formula, quando vale e quando no."
    )
    example: Annotated[str, between(30, 3000)] = Field(
        description="Un esempio svolto con numeri e unità, fino al risultato."
    )

    @model_validator(mode="after")
    def _explains_its_symbols(self) -> Self:
        formula = _bare(self.latex)
        explained: set[str] = set()
        for symbol in (entry.symbol for entry in self.symbols):
            if _bare(symbol) not in formula:
                raise ValueError(f"the symbol {shown(symbol)} is not in the formula {shown(self.latex)}.")
            if _bare(symbol) in explained:
                raise ValueError(f"the symbol {shown(symbol)} is explained twice.")
            explained.add(_bare(symbol))
        return self


def _bare(latex: str) -> str:
    # \vec{F} and \vec F are the same symbol.
    return re.sub(r"[{}\s]", "", latex)
