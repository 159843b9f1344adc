"""What is sent for an example, and how large it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import model_of, recipe_of

from config.errors import ModelsError
from config.models import Model
from config.request import build, size

OPENAI = {
    "name": "openai",
    "base_url": "https://openai.example/v1",
    "api_key_env": "OPENAI_API_KEY",
    "flavour": "openai",
}
VARIABLES = {"subject": "storia"}
#: Of the model in samples: 1 dollar in and 5 out, whatever its cache costs.
MAX_PRICE = {"prompt": 1.0, "completion": 5.0}
PLAIN = model_of(provider=OPENAI, prompt_caching="automatic")


def test_a_request_to_openai() -> None:
    """The whole request as the provider gets it: schema, messages, sampling, and nothing of OpenRouter's."""
    recipe = recipe_of()
    assert build(recipe, PLAIN, VARIABLES, 1) == {
        "model": "maker/model",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "Card", "strict": True, "schema": recipe.checked_output.schema},
        },
        "messages": [
            {"role": "system", "content": "Scrivi schede."},
            {"role": "user", "content": "Scrivi 1 schede di storia."},
        ],
        "temperature": 0.8,
        "max_tokens": 900,
    }


def test_a_request_to_openrouter() -> None:
    """Beside that, OpenRouter is told to use only providers that enforce the schema, at the price that is reserved."""
    model = model_of(prompt_caching="automatic")
    request = build(recipe_of(), model, VARIABLES, 1)
    assert request.pop("provider") == {"require_parameters": True, "max_price": MAX_PRICE}
    assert request == build(recipe_of(), PLAIN, VARIABLES, 1)


def test_several_items() -> None:
    """A call for several sends the wrapped schema under its own name, and the prompt says how many."""
    request = build(recipe_of(call={"items": 4, "split": 2}), PLAIN, VARIABLES, 2)
    schema = request["response_format"]["json_schema"]
    assert (schema["name"], schema["schema"]["properties"]["items"]["minItems"]) == ("Card_items", 2)
    assert request["messages"][-1]["content"] == "Scrivi 2 schede di storia."
    assert request["max_tokens"] == 450


@pytest.mark.parametrize("provider", [OPENAI, {}])
@pytest.mark.parametrize("kind", ["json_object", "none"])
def test_models_without_schemas(kind: str, provider: dict[str, str]) -> None:
    """Where the provider enforces no schema it stands at the end of the system prompt."""
    model = model_of(structured_output=kind, provider=provider)
    request = build(recipe_of(), model, VARIABLES, 1)
    assert request.get("response_format") == ({"type": "json_object"} if kind == "json_object" else None)
    assert request.get("provider") == (None if provider else {"max_price": MAX_PRICE})
    system = request["messages"][0]["content"]
    assert system.startswith("Scrivi schede.\n\nAnswer with JSON alone")
    assert json.loads(system.partition("JSON Schema (Card):\n")[2]) == recipe_of().checked_output.schema


def test_no_system_prompt() -> None:
    """A recipe without a system prompt sends none, unless the schema must stand there."""
    assert [m["role"] for m in build(recipe_of(system=" \n"), PLAIN, VARIABLES, 1)["messages"]] == ["user"]
    bare = build(recipe_of(system=""), model_of(structured_output="none"), VARIABLES, 1)["messages"]
    assert [m["role"] for m in bare] == ["system", "user"]
    assert bare[0]["content"].startswith("Answer with JSON alone")


@pytest.mark.parametrize("kind", ["json_schema", "json_object", "none"])
def test_caching(kind: str) -> None:
    """Where the provider wants it, the system prompt is marked for its cache, and the prompt never is."""
    model = model_of(prompt_caching="cache_control", structured_output=kind)
    system, user = build(recipe_of(), model, VARIABLES, 1)["messages"]
    (part,) = system["content"]
    assert part["text"].startswith("Scrivi schede.")
    assert (part["type"], part["cache_control"]) == ("text", {"type": "ephemeral"})
    assert isinstance(user["content"], str)


@given(st.sampled_from(["storia", "scienze", "è\n\"'"]), st.integers(1, 100))
def test_the_system_prompt_is_the_same_for_all(subject: str, seed: int) -> None:
    """What the provider caches is byte for byte the same in every call of a recipe."""
    model = model_of(prompt_caching="cache_control")
    first = build(recipe_of(), model, {"subject": subject}, 1)["messages"][0]
    assert first == build(recipe_of(), model, {"subject": str(seed)}, 1)["messages"][0]


def test_fallbacks() -> None:
    """Fallbacks go to OpenRouter after the model itself, in their order."""
    recipe = recipe_of(fallbacks=["openai/gpt-4o", "anthropic/claude-3.5-haiku"])
    extra = build(recipe, model_of(structured_output="none"), VARIABLES, 1)
    assert extra["models"] == ["anthropic/claude-haiku-4.5", "openai/gpt-4o", "anthropic/claude-3.5-haiku"]


def test_the_dearest_candidate_is_the_bound(clean: pytest.MonkeyPatch, file: Callable[[str, str], Path]) -> None:
    """OpenRouter may ask what the dearest of model and fallbacks costs, prompt and completion each for itself."""
    clean.setenv(
        "GENFLEET_MODELS", str(file("m.toml", '[models."openai/gpt-4o"]\nprice = { input = 9, output = 4 }\n'))
    )

    def bound(*fallbacks: str, **price: str) -> dict[str, float]:
        price = {"input": "1", "output": "5", "cache_write": "99"} | price
        request = build(recipe_of(fallbacks=fallbacks), model_of(price=price), VARIABLES, 1)
        found: dict[str, float] = request["provider"]["max_price"]
        return found

    assert bound() == MAX_PRICE
    assert bound("openai/gpt-4o") == {"prompt": 9.0, "completion": 5.0}
    assert bound("openai/gpt-4o", "anthropic/claude-3.5-haiku", output="3") == {"prompt": 9.0, "completion": 4.0}
    with pytest.raises(ModelsError, match="gpt-9"):
        bound("gpt-9")


@given(st.decimals(0, 1000), st.decimals(0, 1000))
def test_the_bound_is_what_a_budget_reserves_by(prompt: Decimal, completion: Decimal) -> None:
    """No price that is known is above the bound, and the bound is no more than is reserved for a token."""
    model = model_of(price={"input": prompt, "output": completion})
    bound = build(recipe_of(), model, VARIABLES, 1)["provider"]["max_price"]
    assert json.loads(json.dumps(bound)) == bound
    for kind, price, nano in zip(
        ("prompt", "completion"), (prompt, completion), model.price.worst_nano_usd(), strict=True
    ):
        assert price <= Decimal(str(bound[kind])) == Decimal(nano) / 1000


ALL = {"temperature": 0.8, "top_p": 0.9, "frequency_penalty": 0.1, "presence_penalty": 0.2}


@given(st.sets(st.sampled_from([*ALL, "max_tokens"])))
def test_only_the_sampling_the_model_takes(taken: set[str]) -> None:
    """A value that the model does not take is not sent; a cap on the answer always is, under the name it takes."""
    request = build(recipe_of(sampling=ALL | {"max_tokens": 900}), model_of(sampling=taken), VARIABLES, 1)
    assert {name: request[name] for name in ALL if name in request} == {n: v for n, v in ALL.items() if n in taken}
    caps = {name: request[name] for name in ("max_tokens", "max_completion_tokens") if name in request}
    assert caps == {"max_tokens" if "max_tokens" in taken else "max_completion_tokens": 900}


def test_a_lower_cap() -> None:
    """The ledger may ask for less than the recipe allows."""
    assert build(recipe_of(), PLAIN, VARIABLES, 1, max_tokens=70)["max_tokens"] == 70


def test_schedule() -> None:
    """The fraction of the job chooses the step of the schedule."""
    recipe = recipe_of(sampling={"temperature": 0.9, "schedule": [{"from": 0.8, "temperature": 0.7}]})
    found = [build(recipe, PLAIN, VARIABLES, 1, fraction)["temperature"] for fraction in (0, 0.79, 0.8, 0.99)]
    assert found == [0.9, 0.9, 0.7, 0.7]


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MODELS = [
    model_of(structured_output=kind, prompt_caching=caching)
    for kind in ("json_schema", "json_object", "none")
    for caching in ("cache_control", "automatic")
]


@given(TEXT, TEXT, st.sampled_from(MODELS), st.integers(1, 5))
def test_size_is_an_upper_bound(system: str, subject: str, model: Model, items: int) -> None:
    """The size covers every byte of the messages and of the schema, in any language."""
    request: dict[str, Any] = build(recipe_of(system=system), model, {"subject": subject}, items)
    texts = [
        part if isinstance(part, str) else part["text"]
        for message in request["messages"]
        for part in ([message["content"]] if isinstance(message["content"], str) else message["content"])
    ]
    schema = json.dumps(request["response_format"], ensure_ascii=False) if "response_format" in request else ""
    assert size(request) >= sum(len(text.encode()) for text in [*texts, schema])


@given(TEXT, TEXT)
def test_size_grows_with_the_prompt(subject: str, more: str) -> None:
    """A longer prompt is never measured as a shorter one."""
    sizes = [size(build(recipe_of(), PLAIN, {"subject": text}, 1)) for text in (subject, subject + more)]
    assert sizes[1] - sizes[0] >= len(more.encode())
