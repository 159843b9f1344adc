"""The built-in recipes' files: complete, with the sampling that was asked for, and nothing undefined."""

from __future__ import annotations

import importlib
import math
import random
import re
import tomllib
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel

import config
from config.recipes.schemas.formulas import drawable
from console.provider.answers import answer

FOLDER = Path(config.__file__).with_name("recipes")
FIELDS = {"name", "description", "model", "system", "prompt", "output", "rows", "sampling", "axes", "chat"}
HAIKU = "anthropic/claude-haiku-4.5"
COOLER = [{"from": 0.8, "temperature": 0.7}]
#: By kind: model, temperature, max_tokens, schedule.
SAMPLING: dict[str, tuple[str, float, int, list[dict[str, float]]]] = {
    "chat": (HAIKU, 0.9, 6000, COOLER),
    "citations": (HAIKU, 0.7, 5000, []),
    "cloze": (HAIKU, 0.6, 3000, []),
    "emotional_support": (HAIKU, 0.9, 6000, COOLER),
    "formulas": ("gpt-4o", 0.7, 4000, []),
    "function_calling": (HAIKU, 0.7, 4000, []),
    "quiz": (HAIKU, 0.8, 4000, []),
    "rag": (HAIKU, 0.9, 6000, COOLER),
    "reasoning": (HAIKU, 0.8, 5000, []),
}
WITH_ROWS = {"citations", "rag"}
PASSAGE = "Il Po nasce dal Monviso, in Piemonte. Attraversa la Pianura padana e arriva nel mare Adriatico con un delta."
KINDS = sorted(SAMPLING)


def recipe(kind: str) -> dict[str, Any]:
    """The recipe's file, as TOML reads it."""
    return tomllib.loads((FOLDER / f"{kind}.toml").read_text(encoding="utf-8"))


def output_class(kind: str) -> type[BaseModel]:
    """The class that the recipe names as its output."""
    module, _, name = recipe(kind)["output"].partition(":")
    found: type[BaseModel] = getattr(importlib.import_module(module), name)
    return found


def template(text: str) -> jinja2.Template:
    """A template as recipes are rendered: sandboxed, and strict about names that nothing defines."""
    return SandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(text)


def draws(kind: str) -> list[dict[str, Any]]:
    """Variables of enough examples that every value of every axis is among them."""
    axes = {name: list(values) for name, values in recipe(kind)["axes"].items()}
    longest = max(len(values) for values in axes.values())
    drawn = [{name: values[i % len(values)] for name, values in axes.items()} for i in range(longest)]
    return [{**variables, **dict.fromkeys(recipe(kind).get("rows", []), PASSAGE)} for variables in drawn]


def test_there_are_nine_recipes() -> None:
    """The built-in recipes are the nine kinds, no more and no fewer."""
    assert sorted(path.stem for path in FOLDER.glob("*.toml")) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_fields_are_those_of_a_recipe(kind: str) -> None:
    """A recipe has every field it needs, none that is unknown, and is named as its file."""
    found = recipe(kind)
    assert set(found) <= FIELDS
    assert FIELDS - set(found) <= {"rows"}
    assert found["name"] == kind
    assert "\n" not in found["description"]
    assert found.get("rows", []) == (["passage"] if kind in WITH_ROWS else [])
    assert len(found["system"]) > 1000
    assert "{{" not in found["system"]
    assert "{%" not in found["system"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_sampling_is_the_one_asked_for(kind: str) -> None:
    """Model, temperature, length, penalties and schedule are those set for the kind."""
    model, temperature, max_tokens, schedule = SAMPLING[kind]
    wanted: dict[str, Any] = {
        "temperature": temperature,
        "top_p": 0.95,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.1,
        "max_tokens": max_tokens,
    }
    assert recipe(kind)["model"] == model
    assert recipe(kind)["sampling"] == (wanted | {"schedule": schedule} if schedule else wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_the_axes_vary_enough(kind: str) -> None:
    """The lists give examples without repetition for a whole job, and weights sum to one."""
    axes = recipe(kind)["axes"]
    lists = [values for values in axes.values() if isinstance(values, list)]
    for values in lists:
        assert len({str(value) for value in values}) == len(values)
    assert math.prod(len(values) for values in lists) >= (200 if kind in WITH_ROWS else 20_000)
    for weights in (values for values in axes.values() if isinstance(values, dict)):
        assert math.isclose(sum(weights.values()), 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("items", [1, 3])
def test_the_prompt_renders_with_every_value(kind: str, items: int) -> None:
    """No name in the prompt is undefined, every value of every axis reaches it, and so does the passage."""
    prompt = template(recipe(kind)["prompt"])
    for variables in draws(kind):
        text = prompt.render(variables, items=items)
        assert "{" not in text
        assert (f"Scrivi {items} " in text) == (items > 1)
        for name, value in variables.items():
            # With several questions in one call their right answers must not all stand at the same place.
            if name != "posto" or items == 1:
                for part in value.values() if isinstance(value, dict) else [value]:
                    assert str(part) in text
        assert (f"<passaggio>\n{PASSAGE}\n</passaggio>" in text) == (kind in WITH_ROWS)


def test_the_formulas_prompt_knows_its_renderer() -> None:
    """Every command that the prompt offers can be drawn, and every one that it forbids cannot."""
    lines = recipe("formulas")["system"].splitlines()
    for start, allowed in (("- Usa soltanto i comandi", True), ("- Non usare", False)):
        line = next(line for line in lines if line.startswith(start)).partition(" Scrivi ")[0]
        commands = set(re.findall(r"\\[a-zA-Z]+", line)) - {r"\left", r"\right"}
        assert len(commands) > 10
        for command in commands:
            assert _drawn(rf"x {command}{{a}}{{b}}") == allowed, command


def _drawn(latex: str) -> bool:
    try:
        return bool(drawable(latex))
    except ValueError:
        return False


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_becomes_a_conversation(kind: str) -> None:
    """An answer to the recipe's own prompt passes its class, names its topic, and fills the [chat] templates."""
    chat, output = recipe(kind)["chat"], output_class(kind)
    for seed, variables in enumerate(draws(kind)):
        prompt = template(recipe(kind)["prompt"]).render(variables, items=1)
        text = answer(output.__name__, None, [{"role": "user", "content": prompt}], random.Random(seed))
        example = output.model_validate_json(text, context={"variables": variables}).model_dump()
        topic = variables.get("argomento", {}).get("tema") or variables.get("servizio", {}).get("nome")
        assert (topic or variables.get("caso", {}).get("situazione") or "") in text
        if "messages" in chat:
            assert example[chat["messages"]][-1]["role"] == "assistant"
        else:
            said = [template(chat[role]).render({**variables, **example}) for role in ("user", "assistant")]
            assert all(part.strip() for part in said)
