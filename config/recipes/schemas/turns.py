"""Conversations between a person and an assistant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from config.recipes.schemas.base import Closed, between, count, repeated, shown


class Turn(Closed):
    """One message of a conversation."""

    role: Literal["user", "assistant"] = Field(description="Chi parla: user o assistant.")
    content: Annotated[str, between(2, 6000)] = Field(description="Il testo del messaggio, in italiano.")


def _alternating(turns: list[Turn]) -> list[Turn]:
    for place, turn in enumerate(turns, start=1):
        expected = "assistant" if place % 2 == 0 else "user"
        if turn.role != expected:
            raise ValueError(f'message {place} has the role "{turn.role}", where "{expected}" is due.')
    if turns[-1].role != "assistant":
        raise ValueError(f"the last message, {shown(turns[-1].content)}, is the user's, not the assistant's.")
    # A short "Sì" may well come twice.
    if twice := repeated(turn.content for turn in turns if len(turn.content) >= 20):
        raise ValueError(f"the message {shown(twice)} stands in the conversation twice.")
    return turns


#: A conversation of 4 to 20 messages that starts with the user, alternates, and ends with the assistant.
Turns = Annotated[list[Turn], count(4, 20), AfterValidator(_alternating)]
