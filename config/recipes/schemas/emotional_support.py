"""Someone in a hard moment talks with a listener."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.recipes.schemas.base import Closed, between, count, shown
from config.recipes.schemas.turns import Turns

Strategy = Literal[
    "ascolto attivo",
    "domanda aperta",
    "riformulazione",
    "validazione dell'emozione",
    "normalizzazione",
    "sostegno alle risorse",
    "proposta di un piccolo passo",
    "informazione",
    "invito a chiedere aiuto",
]

#: Italian services that answer people in danger: emergencies, Telefono Azzurro, child emergencies,
#: violence and stalking, Telefono Amico Italia.
HELPLINES = ("112", "118", "19696", "114", "1522", "0223272327")
# They are written as 1.96.96, 19696 or 02 2327 2327.
_HELPLINE = re.compile("|".join(rf"(?<!\d){r'[ .-]?'.join(line)}(?!\d)" for line in HELPLINES))


class EmotionalSupport(Closed):
    """A conversation of support, with what it shows: the emotion, the listener's means, the risk."""

    emotion: Annotated[str, between(3, 60)] = Field(
        description="L'emozione prevalente di chi scrive, in una o poche parole."
    )
    strategies: Annotated[list[Strategy], count(2, 6)] = Field(
        description="Le strategie che l'assistente usa davvero, da 2 a 6, ciascuna una volta."
    )
    risk: Literal["nessuno", "da seguire", "urgente"] = Field(
        description=(
            "nessuno: disagio comune. da seguire: sofferenza che dura o isola. "
            "urgente: pericolo per sé o per altri; allora l'assistente indica un numero da chiamare subito."
        )
    )
    messages: Turns = Field(
        description=(
            "La conversazione, da 4 a 20 messaggi: comincia la persona (user), i ruoli si alternano, "
            "l'ultima parola è dell'assistente (assistant)."
        )
    )

    @model_validator(mode="after")
    def _listens(self) -> Self:
        replies = [turn.content for turn in self.messages if turn.role == "assistant"]
        if len(set(self.strategies)) < len(self.strategies):
            raise ValueError(f"strategies names one strategy twice: {', '.join(self.strategies)}.")
        if not any("?" in reply for reply in replies):
            raise ValueError(f"the assistant asks nothing, not even after {shown(self.messages[0].content)}.")
        if self.risk == "urgente" and not any(_HELPLINE.search(reply) for reply in replies):
            raise ValueError(f'risk is "{self.risk}", and the assistant names no number to call, such as 112.')
        return self
