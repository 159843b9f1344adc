"""A recipe's output: the schema that the provider is sent and the checks that we make."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jsonschema
from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import from_json

from config.errors import RecipeError
from config.importing import output_class
from config.strict_schema import strict

#: What makes the time of a check more than a multiple of the answer's length.
_ENDLESS = ("pattern", "$ref", "$dynamicRef")


@dataclass(frozen=True)
class Invalid:
    """Why one example of an answer fails its checks, in a sentence without the answer's text."""

    detail: str


class Output:
    """What an answer must look like: a pydantic class, or a JSON Schema.

    Attributes:
        name: the schema's name, as the provider is told it.
        schema: JSON Schema of one example, closed as strict mode wants it.
    """

    def __init__(self, name: str, schema: dict[str, Any], model: type[BaseModel] | None) -> None:
        self.name = name
        self.schema = schema
        self._model = model
        self._validator = jsonschema.Draft202012Validator(schema)
        self._wrapped: dict[int, dict[str, Any]] = {}

    @cached_property
    def ends(self) -> bool:
        """Whether its checks surely end soon: those of a schema where nothing is looked for over and over do."""
        return self._model is None and not any(word in json.dumps(self.schema) for word in _ENDLESS)

    @classmethod
    def load(cls, output: str | dict[str, Any], recipe: str) -> Output:
        """The output that a recipe names: `module:Class`, or a table that holds a JSON Schema.

        Raises:
            RecipeError: the class cannot be imported, or the table is no JSON Schema.
        """
        if isinstance(output, str):
            model = output_class(output, recipe)
            try:
                return cls(model.__name__, strict(model.model_json_schema()), model)
            except PydanticUserError as error:
                raise RecipeError(recipe, [f'output: "{output}" has no JSON Schema: {error.message}.']) from None
        try:
            jsonschema.Draft202012Validator.check_schema(output)
        except jsonschema.SchemaError as error:
            raise RecipeError(recipe, [f"[output]: not a JSON Schema: {error.message}."]) from None
        name = "".join(c if c.isalnum() or c in "_-" else "_" for c in str(output.get("title", recipe)))
        return cls(name, strict(output), None)

    def request_schema(self, items: int) -> tuple[str, dict[str, Any]]:
        """Name and schema to send for a call that asks for `items` examples."""
        if items == 1:
            return self.name, self.schema
        if items not in self._wrapped:
            self._wrapped[items] = self._list_of(items)
        return f"{self.name}_items", self._wrapped[items]

    def _list_of(self, items: int) -> dict[str, Any]:
        one = copy.deepcopy(self.schema)
        definitions = one.pop("$defs", None)
        many: dict[str, Any] = {"type": "array", "items": one, "minItems": items, "maxItems": items}
        wrapped: dict[str, Any] = {
            "type": "object",
            "properties": {"items": many},
            "required": ["items"],
            "additionalProperties": False,
        }
        if definitions:
            wrapped["$defs"] = definitions
        return wrapped

    def read(self, text: str, items: int, variables: dict[str, Any]) -> list[dict[str, Any] | Invalid]:
        """The examples in an answer, `items` of them, each checked alone.

        An answer that is not JSON, or has fewer examples than asked for, gives `Invalid` for those missing;
        examples beyond `items` are left out.
        """
        try:
            # Strict: NaN, half of a surrogate pair and endless nesting could not be stored as JSON.
            answer = from_json(_unfenced(text), allow_inf_nan=False)
        except ValueError:
            return [Invalid("the answer is not JSON.")] * items
        found: Any = [answer]
        if items > 1:
            found = answer.get("items") if isinstance(answer, dict) else answer
            if not isinstance(found, list):
                return [Invalid('the answer has no list "items".')] * items
        read = [self._check(example, variables) for example in found[:items]]
        return read + [Invalid(f"the answer holds {len(found)} of {items} examples.")] * (items - len(read))

    def _check(self, example: Any, variables: dict[str, Any]) -> dict[str, Any] | Invalid:
        if self._model is None:
            error = jsonschema.exceptions.best_match(self._validator.iter_errors(example))
            if error is not None:
                place = ".".join(map(str, error.absolute_path)) or "the answer"
                return Invalid(f"{place} breaks the schema's {error.validator}.")
            return dict(example) if isinstance(example, dict) else {"value": example}
        try:
            return self._model.model_validate(example, context={"variables": variables}).model_dump(mode="json")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the answer"
            return Invalid(f"{place}: {first['msg'].removeprefix('Value error, ')}")
        except BaseException as error:  # the recipe's author wrote the checks; the answer is paid for
            # Checks run in a thread of their own, where an exit or an interrupt is not meant for the process.
            return Invalid(f"the check of {self.name} broke on this answer ({type(error).__name__}).")


def _unfenced(text: str) -> str:
    """The JSON in an answer that models without structured output like to put in a Markdown fence."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.removesuffix("```").partition("\n")[2]
    return text
