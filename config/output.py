"""A recipe's output: the schema that the provider enforces and the checks that we make."""

from __future__ import annotations

import copy
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import from_json

from config.errors import RecipeError

#: What providers refuse or ignore in strict mode, from OpenAI's and OpenRouter's structured output guides.
_NOT_ENFORCED = (
    "patternProperties", "oneOf", "allOf", "not", "if", "dependentSchemas", "dependentRequired",
    "unevaluatedProperties",
)  # fmt: skip


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

    @classmethod
    def load(cls, output: str | dict[str, Any], recipe: str) -> Output:
        """The output that a recipe names: `module:Class`, or a table that holds a JSON Schema.

        Raises:
            RecipeError: the class cannot be imported, or the table is no JSON Schema.
        """
        if isinstance(output, str):
            model = _import(output, recipe)
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
        return f"{self.name}_items", wrapped

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
        except Exception as error:  # the recipe's author wrote the checks; the answer is paid for
            return Invalid(f"the check of {self.name} broke on this answer ({type(error).__name__}).")


def _unfenced(text: str) -> str:
    """The JSON in an answer that models without structured output like to put in a Markdown fence."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.removesuffix("```").partition("\n")[2]
    return text


def _import(path: str, recipe: str) -> type[BaseModel]:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecipeError(
            recipe,
            [f'output: class "{path}" not found ({error}); write it as "module:Class", in a module beside the recipe.'],
        ) from None
    except Exception as error:  # the module is the recipe author's
        raise RecipeError(
            recipe, [f'output: module "{module}" cannot be imported: {type(error).__name__}: {error}.']
        ) from None
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise RecipeError(recipe, [f'output: "{path}" is not a pydantic class.'])
    return found


_folders: list[str] = []


def importable_from(folder: Path) -> None:
    """Lets recipes name classes in modules of `folder`."""
    path = str(folder.resolve())
    if path not in _folders:
        _folders.append(path)
        sys.path.append(path)


def importable_folders() -> list[str]:
    """The folders that recipes' classes are imported from, for processes that shall find them too."""
    return list(_folders)


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as strict mode wants it: every object closed, all its properties required, no defaults."""
    closed = copy.deepcopy(schema)
    for _, node in _nodes(closed, ""):
        if "properties" in node:
            node["additionalProperties"] = False
            node["required"] = list(node["properties"])
        node.pop("default", None)
    return closed


def not_enforced(schema: dict[str, Any]) -> list[str]:
    """What a provider cannot enforce in this schema, a sentence each, with the place."""
    problems = []
    if schema.get("type") != "object":
        problems.append("[output]: the outermost schema must be an object.")
    known = {f"#/$defs/{name}" for name in schema.get("$defs", {})}
    for place, node in _nodes(schema, "output"):
        problems += [f"{place}: providers cannot enforce {word}." for word in _NOT_ENFORCED if word in node]
        if "object" in _types(node) and not node.get("properties"):
            problems.append(f"{place}: an object without named properties; send it as a string that holds JSON.")
        if node.get("additionalProperties") not in (None, False):
            problems.append(f"{place}: additionalProperties must be false.")
        if "$ref" in node and node["$ref"] not in known:
            problems.append(f'{place}: "{node["$ref"]}" is not in this schema; refer to "#/$defs/NAME".')
    return problems + [f"output: {name} refers to itself." for name in _recursive(schema)]


def _types(node: dict[str, Any]) -> list[str]:
    kind = node.get("type", [])
    return kind if isinstance(kind, list) else [kind]


def _nodes(schema: Any, place: str) -> list[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, with its place; properties' names are not taken for keywords."""
    if not isinstance(schema, dict):
        return []
    found = [(place, schema)]
    for holder in ("properties", "$defs"):
        for name, child in schema.get(holder, {}).items():
            found += _nodes(child, f"{place}.{name}")
    for key in ("items", "additionalProperties"):
        found += _nodes(schema.get(key), f"{place}[]")
    for key in ("anyOf", "allOf", "oneOf", "prefixItems"):
        for child in schema.get(key, []):
            found += _nodes(child, place)
    return found


def _recursive(schema: dict[str, Any]) -> list[str]:
    uses = {
        name: {node["$ref"].rpartition("/")[2] for _, node in _nodes(child, "") if "$ref" in node}
        for name, child in schema.get("$defs", {}).items()
    }

    def reaches(start: str, goal: str, seen: frozenset[str]) -> bool:
        return any(n == goal or (n not in seen and reaches(n, goal, seen | {n})) for n in uses.get(start, ()))

    return [name for name in uses if reaches(name, name, frozenset())]
