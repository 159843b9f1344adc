"""An assistant answers with the help of tools: request, calls, results, answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from config.recipes.schemas.base import Closed, between, count, repeated, shown
from config.recipes.schemas.tools import Call, Tool


class User(Closed):
    """What the user asks for or adds."""

    role: Literal["user"]
    content: Annotated[str, between(2, 3000)] = Field(description="Che cosa chiede o precisa l'utente.")


# Models also write "nothing" as an empty text or an empty list.
_empty_is_null = BeforeValidator(lambda value: value or None)


class Assistant(Closed):
    """The assistant either calls tools or speaks."""

    role: Literal["assistant"]
    content: Annotated[Annotated[str, between(2, 4000)] | None, _empty_is_null] = Field(
        description="Che cosa dice l'assistente; null quando chiama funzioni."
    )
    tool_calls: Annotated[Annotated[list[Call], count(1, 6)] | None, _empty_is_null] = Field(
        description="Le chiamate, da 1 a 6, insieme se non dipendono l'una dall'altra; null quando parla."
    )

    @model_validator(mode="after")
    def _calls_or_speaks(self) -> Self:
        if self.content is None and self.tool_calls is None:
            raise ValueError("a message of the assistant has content null and tool_calls null.")
        return self


class Result(Closed):
    """What a tool answers to one call."""

    role: Literal["tool"]
    tool_call_id: Annotated[str, between(3, 60)] = Field(description="L'identificativo della chiamata a cui risponde.")
    content: Annotated[str, between(2, 4000)] = Field(
        description="Il risultato della funzione: un oggetto JSON scritto come stringa."
    )


class _AnyOf:
    """Writes a union told apart by its roles as anyOf: strict mode knows no oneOf."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": handler(core)["oneOf"]}


Message = Annotated[User | Assistant | Result, Field(discriminator="role"), _AnyOf()]


class FunctionCalling(Closed):
    """Tools, and a conversation that calls at least one of them."""

    tools: Annotated[list[Tool], count(1, 8)] = Field(description="Le funzioni a disposizione, da 1 a 8.")
    messages: Annotated[list[Message], count(4, 24)] = Field(
        description=(
            "La conversazione, da 4 a 24 messaggi: user, assistant che chiama, un messaggio tool per ogni "
            "chiamata, assistant che risponde; i giri possono essere più d'uno."
        )
    )

    @model_validator(mode="after")
    def _calls_are_valid(self) -> Self:
        if twice := repeated(tool.name for tool in self.tools):
            raise ValueError(f"the tool {shown(twice)} is listed twice.")
        tools = {tool.name: tool for tool in self.tools}
        calls = [call for message in self.messages for call in _calls(message)]
        if not calls:
            raise ValueError(f"no message calls a tool, such as {self.tools[0].name}.")
        if twice := repeated(call.id for call in calls):
            raise ValueError(f"two calls have the id {shown(twice)}.")
        for call in calls:
            call.check(tools)
        _check_order(self.messages)
        return self


def _calls(message: User | Assistant | Result) -> list[Call]:
    return (message.tool_calls or []) if isinstance(message, Assistant) else []


def _check_order(messages: list[User | Assistant | Result]) -> None:
    """The order that chat APIs accept: user first, a result for every call before anyone speaks, a reply last."""
    open_calls: list[str] = []
    due = "user"
    for place, message in enumerate(messages, start=1):
        if message.role != due:
            raise ValueError(f'message {place} has the role "{message.role}", where "{due}" is due.')
        if isinstance(message, Result):
            if message.tool_call_id not in open_calls:
                raise ValueError(f'message {place} answers the call "{message.tool_call_id}", which is not open.')
            open_calls.remove(message.tool_call_id)
        else:
            open_calls = [call.id for call in _calls(message)]
        speaks = message.role == "assistant" and not open_calls
        due = "tool" if open_calls else "user" if speaks else "assistant"
    if due != "user":
        raise ValueError(f'the last message has the role "{messages[-1].role}", and "{due}" is still due.')
