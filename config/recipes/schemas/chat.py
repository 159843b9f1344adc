"""A student talks with a tutor."""

from __future__ import annotations

from pydantic import Field

from config.recipes.schemas.base import Closed
from config.recipes.schemas.turns import Turns


class Chat(Closed):
    """A conversation that starts with the student and ends with the tutor."""

    messages: Turns = Field(
        description=(
            "La conversazione, da 4 a 20 messaggi: comincia lo studente (user), i ruoli si alternano, "
            "l'ultima parola è del tutor (assistant)."
        )
    )
