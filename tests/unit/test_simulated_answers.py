"""The simulated provider's answers to schemas and requests that it does not know."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import jsonschema
import pytest

from config.recipes.schemas import FunctionCalling, Quiz
from console.provider.answers import answer
from console.provider.answers.facts import themes
from console.provider.answers.patterns import matching

ASK = [{"role": "user", "content": "Materia: storia\nArgomento: la Rivoluzione francese"}]
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"titolo": {"type": "string", "minLength": 5, "maxLength": 40}}},
    {"type": "object", "properties": {"lungo": {"type": "string", "minLength": 3000}}},
    {"type": "object", "properties": {"voto": {"type": "integer", "minimum": 1, "maximum": 10}}},
    {"type": "object", "properties": {"quota": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}}},
    {"type": "object", "properties": {"freddo": {"type": "integer", "maximum": -5, "multipleOf": 5}}},
    {"type": "object", "properties": {"giorno": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}}},
    {"type": "object", "properties": {"scelta": {"enum": ["a", "b", 3]}, "fisso": {"const": "quiz"}}},
    {"type": "object", "properties": {"forse": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
    {"type": "object", "properties": {"forse": {"type": ["integer", "null"]}, "vero": {"type": "boolean"}}},
    {"type": "object", "properties": {"voci": {"type": "array", "items": {"type": "number"}, "minItems": 4}}},
    {"type": "object", "properties": {"voci": {"type": "array", "items": {"type": "string"}, "maxItems": 1}}},
    {
        "type": "object",
        "properties": {"nodi": {"type": "array", "items": {"$ref": "#/$defs/Nodo"}, "minItems": 2, "maxItems": 2}},
        "$defs": {"Nodo": {"type": "object", "properties": {"figli": {"type": "array", "items": {"type": "string"}}}}},
    },
    FunctionCalling.model_json_schema(),
]


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its own properties required and no others allowed."""
    return {**schema, "required": list(schema["properties"]), "additionalProperties": False}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_unknown_schema_is_satisfied(schema: dict[str, Any]) -> None:
    """For a schema under a name that is not built in, the answer is JSON that satisfies it, seed by seed the same."""
    wanted = closed(schema)
    for seed in range(30):
        text = answer("Scheda", wanted, ASK, random.Random(seed))
        jsonschema.validate(json.loads(text), wanted)
        assert text == answer("Scheda", wanted, ASK, random.Random(seed))


def test_a_class_of_the_same_name_is_not_taken_for_ours() -> None:
    """A schema that our Quiz does not satisfy is answered from the schema, whatever its name."""
    wanted = closed({"type": "object", "properties": {"domanda": {"type": "string"}}})
    assert list(json.loads(answer("Quiz", wanted, ASK, random.Random(1)))) == ["domanda"]


@pytest.mark.parametrize("items", [1, 2, 7])
def test_several_examples_are_wrapped(items: int) -> None:
    """Under a name that ends in _items there are as many examples as the schema asks for."""
    one = Quiz.model_json_schema()
    many = {"type": "array", "items": one, "minItems": items, "maxItems": items}
    wanted = closed({"type": "object", "properties": {"items": many}})
    found = json.loads(answer("Quiz_items", wanted, ASK, random.Random(3)))["items"]
    assert len([Quiz.model_validate(example) for example in found]) == items


def test_without_a_schema_there_is_prose() -> None:
    """A request in plain text gets Italian prose about its topic, not JSON."""
    text = answer("", None, ASK, random.Random(5))
    assert "la Rivoluzione francese" in text
    assert not text.startswith("{")


@pytest.mark.parametrize("pattern", [r"^[A-Z]{2}\d{6}$", r"(rosso|blu)-\w+", r"^[^0-9]{3,8}$", r"a?b*c+\.", r"^.{5}$"])
def test_patterns_are_matched(pattern: str) -> None:
    """A text made for a pattern matches it."""
    for seed in range(50):
        made = matching(pattern, random.Random(seed))
        assert made is not None
        assert re.search(pattern, made)


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"[", r"(a)\1"])
def test_patterns_that_cannot_be_drawn_give_nothing(pattern: str) -> None:
    """A pattern that is wrong or too clever gives None, and the caller writes a sentence."""
    assert matching(pattern, random.Random(1)) is None


def test_facts_are_sound() -> None:
    """Every sentence holds its answer once, as whole words, and the four options of a fact differ."""
    for theme in themes():
        assert len({fact.answer.casefold() for fact in theme.facts}) == 3
        for fact in theme.facts:
            assert len(re.findall(rf"(?<!\w){re.escape(fact.answer)}(?!\w)", fact.sentence)) == 1
            assert len({option.casefold() for option in (fact.answer, *fact.wrong)}) == 4
