"""Tools and calls of tools, as OpenAI's API writes them: their JSON travels inside strings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import jsonschema
from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from config.recipes.schemas.base import Closed, between, shown

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyz")


def _identifier(name: str, info: ValidationInfo) -> str:
    if name[0] not in _FIRST or not name.isascii() or not name.replace("_", "").isalnum() or name != name.lower():
        raise ValueError(f"{info.field_name} {shown(name)} is not lower case letters, digits and underscores.")
    return name


Name = Annotated[str, between(2, 64), AfterValidator(_identifier)]


def decoded(text: str, what: str) -> dict[str, Any]:
    """The JSON object in a string. Raises ValueError, naming `what` it is, for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{what} {shown(text)} is not JSON.") from None
    match value:
        case dict():
            return value
        case _:
            raise ValueError(f"{what} {shown(text)} is JSON, and not an object.")


class Tool(Closed):
    """A function that the assistant may call."""

    name: Name = Field(description="Il nome della funzione, in snake_case e senza accenti.")
    description: Annotated[str, between(10, 500)] = Field(description="Che cosa fa e quando usarla.")
    parameters: Annotated[str, between(2, 4000)] = Field(
        description=(
            "Lo schema JSON dei parametri, scritto come stringa JSON: un oggetto con type, properties, required; "
            "ogni proprietà con type e description. Senza $ref."
        )
    )

    def schema_of_arguments(self) -> dict[str, Any]:
        """The JSON Schema that the arguments of a call must satisfy."""
        return decoded(self.parameters, f'the schema of the tool "{self.name}"')

    @model_validator(mode="after")
    def _is_schema(self) -> Self:
        schema = self.schema_of_arguments()
        # References could point outside the example, or at themselves.
        if "$ref" in _keys(schema) or "$dynamicRef" in _keys(schema):
            raise ValueError(f'the schema of the tool "{self.name}" holds a $ref; every parameter stands in full.')
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise ValueError(
                f'the schema of the tool "{self.name}" is not JSON Schema: {shown(error.message)}.'
            ) from None
        if schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
            raise ValueError(f'the schema of the tool "{self.name}" is not an object with properties.')
        if unknown := sorted(set(schema.get("required", [])) - set(schema["properties"])):
            raise ValueError(f'the tool "{self.name}" requires {unknown[0]}, which is not among its properties.')
        return self


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _keys(child)


class Called(Closed):
    """Which function, with which arguments."""

    name: Name = Field(description="Il nome di una delle funzioni in tools.")
    arguments: Annotated[str, between(2, 4000)] = Field(
        description="Gli argomenti, un oggetto JSON scritto come stringa, validi per lo schema della funzione."
    )


class Call(Closed):
    """One call of a tool."""

    id: Annotated[str, between(3, 60)] = Field(description="L'identificativo della chiamata: call_1, call_2…")
    type: Literal["function"] = Field(description="Sempre function.")
    function: Called

    def check(self, tools: dict[str, Tool]) -> None:
        """Holds the call against the tools, by name.

        Raises:
            ValueError: there is no such tool, or its schema refuses the arguments.
        """
        name = self.function.name
        if name not in tools:
            raise ValueError(f'the call {self.id} names the tool "{name}", which is not among {", ".join(tools)}.')
        arguments = decoded(self.function.arguments, f"the argument string of the call {self.id}")
        schema = tools[name].schema_of_arguments()
        if unknown := sorted(set(arguments) - set(schema["properties"])):
            raise ValueError(f'the call {self.id} gives {unknown[0]}, which is no parameter of "{name}".')
        error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(arguments))
        if error is not None:
            raise ValueError(f'the call {self.id} breaks the schema of "{name}": {shown(error.message)}.')
