"""What a recipe's output asks of the provider, and how an answer is read."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator
from samples import OUTPUT

from config.errors import RecipeError
from config.importing import importable_from
from config.output import Invalid, Output
from config.strict_schema import not_enforced, strict

importable_from(Path(__file__).parent)


class Level(Enum):
    EASY = "facile"
    HARD = "difficile"


class Source(BaseModel):
    title: str
    page: int | None = None


class Card(BaseModel):
    question: str = Field(min_length=3)
    level: Level = Level.EASY
    sources: list[Source] = []
    kind: Literal["open", "closed"] = "open"


class Fragile(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def breaks(cls, text: str) -> str:
        return str({"good": 1}[text])


def of_class(model: type[BaseModel]) -> Output:
    """The output that a recipe gets by naming this class."""
    return Output.load(f"{__name__}:{model.__name__}", "cards")


def table(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def objects(schema: Any) -> list[dict[str, Any]]:
    """Every object with properties in a schema, wherever it stands."""
    if isinstance(schema, list):
        return [found for one in schema for found in objects(one)]
    if not isinstance(schema, dict):
        return []
    below = [found for one in schema.values() for found in objects(one)]
    return below + ([schema] if isinstance(schema.get("properties"), dict) and "type" in schema else [])


@pytest.mark.parametrize("output", [of_class(Card), Output.load(OUTPUT, "cards")])
def test_schemas_are_strict(output: Output) -> None:
    """Every object of the schema is closed and asks for all its properties, and nothing has a default."""
    found = objects(output.schema)
    assert found
    for node in found:
        assert node["additionalProperties"] is False
        assert node["required"] == list(node["properties"])
    assert '"default"' not in json.dumps(output.schema)
    assert not_enforced(output.schema) == []


def test_strict_reaches_everywhere() -> None:
    """Objects in lists, alternatives and definitions are closed; a property may be named like a keyword."""
    one = table(x={"type": "string", "default": "y"})
    schema = table(a={"type": "array", "items": one}, b={"anyOf": [one, {"type": "null"}]}, default=one, properties=one)
    schema["$defs"] = {"D": one}
    closed = strict(schema)
    assert len(objects(closed)) == 6
    assert all(node["additionalProperties"] is False for node in objects(closed))
    assert set(closed["properties"]) == {"a", "b", "default", "properties"}
    assert '"default": "y"' not in json.dumps(closed)
    assert "additionalProperties" not in schema


def test_one_item_is_sent_as_it_is() -> None:
    """A call for one example asks for the class itself, under its name."""
    output = of_class(Card)
    assert output.request_schema(1) == ("Card", output.schema)


@pytest.mark.parametrize("output", [of_class(Card), Output.load(OUTPUT, "cards")])
def test_many_items_are_wrapped(output: Output) -> None:
    """A call for several asks for an object with exactly that many, and definitions stand at the top."""
    name, schema = output.request_schema(3)
    assert name == f"{output.name}_items"
    items = schema["properties"]["items"]
    assert (items["type"], items["minItems"], items["maxItems"]) == ("array", 3, 3)
    assert "$defs" not in items["items"]
    assert schema.get("$defs") == output.schema.get("$defs")
    assert (schema["required"], schema["additionalProperties"]) == (["items"], False)
    assert not_enforced(schema) == []
    if "$defs" in output.schema:
        assert output.schema["$defs"], "the class's own schema is left as it was"


@pytest.mark.parametrize(
    ("title", "name"), [("Card", "Card"), ("Carta d'identità!", "Carta_d_identità_"), (None, "cards")]
)
def test_name_of_a_table(title: str | None, name: str) -> None:
    """A table is sent under its title, or the recipe's name, in characters that a provider takes."""
    assert Output.load(OUTPUT | {"title": title} if title else table(a={"type": "string"}), "cards").name == name


STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (table(a=STRING), []),
        (table(a={"anyOf": [STRING, {"type": "null"}]}), []),
        (table(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": STRING}}, []),
        ({"type": "array", "items": STRING}, ["[output]: the outermost schema must be an object."]),
        ({"type": "object"}, ["output: an object without named properties; send it as a string that holds JSON."]),
        (table(a={"type": "object"}), ["output.a: an object without named properties"]),
        (table(a={"type": ["object", "null"]}), ["output.a: an object without named properties"]),
        (
            table(a={"type": "object", "additionalProperties": STRING}),
            ["output.a: an object without named properties", "output.a: additionalProperties must be false."],
        ),
        (table(a={"oneOf": [STRING]}), ["output.a: providers cannot enforce oneOf."]),
        (table(a={"allOf": [STRING]}), ["output.a: providers cannot enforce allOf."]),
        (table(a={"not": STRING}), ["output.a: providers cannot enforce not."]),
        (table(a={"type": "array", "items": {"if": {}}}), ["output.a[]: providers cannot enforce if."]),
        (table(**{"not": STRING}), []),
        (
            table(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": table(a={"$ref": "#/$defs/A"})}},
            ["output: A refers to itself."],
        ),
        (
            table(a={"$ref": "#/$defs/A"})
            | {"$defs": {"A": table(b={"$ref": "#/$defs/B"}), "B": table(a={"$ref": "#/$defs/A"})}},
            ["output: A refers to itself.", "output: B refers to itself."],
        ),
        (table(a={"$ref": "#"}), ['output.a: "#" is not in this schema; refer to "#/$defs/NAME".']),
        (table(a={"$ref": "A"}) | {"$defs": {"A": STRING}}, ['output.a: "A" is not in this schema']),
        (table(a={"$ref": "https://schemas.example/a"}), ['output.a: "https://schemas.example/a" is not']),
    ],
)
def test_what_providers_cannot_enforce(schema: dict[str, Any], said: list[str]) -> None:
    """Each word that strict mode refuses or ignores is named with its place."""
    found = not_enforced(schema)
    assert [problem[: len(start)] for problem, start in zip(found, said, strict=True)] == said


def test_a_class_that_refers_to_itself() -> None:
    """A recursive pydantic class is found out, as its schema is a reference."""

    class Tree(BaseModel):
        children: list[Tree]

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    assert "output: Tree refers to itself." in not_enforced(strict(Tree.model_json_schema()))


@pytest.mark.parametrize("pattern", ["(", "[z-a]"])
def test_a_pattern_must_be_one(pattern: str) -> None:
    """A regular expression with a mistake is found before it meets an answer."""
    with pytest.raises(RecipeError, match="not a JSON Schema"):
        Output.load(table(a={"type": "string", "pattern": pattern}), "cards")


GOOD = {"question": "Chi fu?", "level": "difficile", "sources": [{"title": "T", "page": None}], "kind": "open"}
TEXT = json.dumps(GOOD)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"\n  {TEXT}\n",
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}```",
        f"\n```JSON \n{TEXT}\n```  ",
        json.dumps(GOOD, indent=2),
    ],
)
def test_an_answer_is_read(text: str) -> None:
    """JSON is read with space around it and in a Markdown fence, and comes out as plain JSON values."""
    assert of_class(Card).read(text, 1, {}) == [GOOD]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ecco la scheda.",
        f"Ecco: {TEXT}",
        TEXT[:-1],
        TEXT + TEXT,
        "```",
        "``````",
        "```json\n```",
        '{"question": NaN}',
        '{"question": "\\ud800"}',
        "[" * 100_000,
        '{"question": "a\nb"}',
    ],
)
def test_an_answer_that_is_not_json(text: str) -> None:
    """What is not JSON is invalid for each item that was asked for, and never an error."""
    for items in (1, 3):
        assert of_class(Card).read(text, items, {}) == [Invalid("the answer is not JSON.")] * items


def test_items_are_checked_alone() -> None:
    """One bad example among several spoils none of the others."""
    bad = GOOD | {"question": "?"}
    read = of_class(Card).read(json.dumps({"items": [GOOD, bad, GOOD]}), 3, {})
    assert read[0] == read[2] == GOOD
    assert isinstance(read[1], Invalid)
    assert read[1].detail.startswith("question: ")


@pytest.mark.parametrize(
    ("answer", "good"),
    [({"items": [GOOD] * n}, n) for n in range(5)] + [([GOOD] * n, n) for n in (2, 3)],
)
def test_too_few_and_too_many_items(answer: Any, good: int) -> None:
    """There are as many results as were asked for: those missing are invalid, those beyond are left out."""
    read = of_class(Card).read(json.dumps(answer), 3, {})
    assert read[:good] == [GOOD] * min(good, 3)
    assert read[good:] == [Invalid(f"the answer holds {good} of 3 examples.")] * max(0, 3 - good)


@pytest.mark.parametrize("answer", [GOOD, {"items": GOOD}, {"items": None}, 3, "x", None])
def test_an_answer_without_items(answer: Any) -> None:
    """A call for several that brings one, or anything else, is invalid."""
    assert of_class(Card).read(json.dumps(answer), 2, {}) == [Invalid('the answer has no list "items".')] * 2


@pytest.mark.parametrize(
    ("example", "detail"),
    [
        ({}, "question: Field required"),
        (3, "the answer: Input should be"),
        (GOOD | {"sources": [{"page": 1}]}, "sources.0.title: Field required"),
        (GOOD | {"level": "medio"}, "level: Input should be 'facile' or 'difficile'"),
    ],
)
def test_why_a_class_refuses(example: Any, detail: str) -> None:
    """The detail names the field and the rule."""
    (read,) = of_class(Card).read(json.dumps(example), 1, {})
    assert isinstance(read, Invalid)
    assert read.detail.startswith(detail)


@pytest.mark.parametrize(
    ("example", "detail"),
    [
        ({"question": "a"}, "the answer breaks the schema's required."),
        ({"question": "a", "answer": 3}, "answer breaks the schema's type."),
        ({"question": "a", "answer": "b", "c": 1}, "the answer breaks the schema's additionalProperties."),
        ("x", "the answer breaks the schema's type."),
    ],
)
def test_why_a_table_refuses(example: Any, detail: str) -> None:
    """The detail names the place and the rule, and not the text that broke it."""
    assert Output.load(OUTPUT, "cards").read(json.dumps(example), 1, {}) == [Invalid(detail)]


def test_a_check_that_breaks() -> None:
    """An error in the recipe's own check makes an example invalid: it does not take the worker's task with it."""
    output = of_class(Fragile)
    assert output.read('{"text": "good"}', 1, {}) == [{"text": "1"}]
    assert output.read('{"text": "bad"}', 1, {}) == [Invalid("the check of Fragile broke on this answer (KeyError).")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["items", "question", "x"]), inner),
    max_leaves=10,
)


@given(st.text() | JSON.map(json.dumps), st.integers(1, 4))
def test_reading_never_raises(text: str, items: int) -> None:
    """Whatever a model writes, there is one result for each item asked for, and it can be stored as JSON in UTF-8."""
    for output in (of_class(Card), Output.load(OUTPUT, "cards"), of_class(Fragile)):
        read = output.read(text, items, {})
        assert len(read) == items
        kept = [one.detail if isinstance(one, Invalid) else one for one in read]
        assert json.loads(json.dumps(kept, ensure_ascii=False).encode()) == kept


@pytest.mark.parametrize(
    ("schema", "ends"),
    [
        ({"type": "string", "maxLength": 9}, True),
        ({"type": "string", "pattern": "(a+)+$"}, False),
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, False),
    ],
)
def test_checks_that_surely_end(schema: dict[str, Any], ends: bool) -> None:
    """Patterns and references can make a check as good as endless, and so can any code of a class."""
    table = {"type": "object", "properties": {"text": schema}, "required": ["text"]}
    assert Output.load(table, "r").ends is ends
    assert not Output.load("config.recipes.schemas:Quiz", "r").ends
