"""Recipes: what is wrong with one is said at once, and what is asked and kept of each example."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from samples import OUTPUT, recipe_of

from config.errors import RecipeError
from config.models import models
from config.recipe import Recipe, Sampling
from config.recipe_check import columns, recipe_problems
from config.recipe_files import find, load, recipe_files

Write = Callable[[str, str], Path]
HAIKU = "anthropic/claude-haiku-4.5"
ALL = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty", "max_tokens"})

HEAD = f'name = "cards"\nmodel = "{HAIKU}"\n'
TABLE = '[output]\ntype = "object"\n[output.properties]\na = { type = "string" }\n'
GOOD = HEAD + 'prompt = "Scrivi."\n' + TABLE


def problems(path: Path) -> list[str]:
    """What is said of the recipe in this file, each line of which names the file."""
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert str(caught.value).splitlines() == [f"{path}: {problem}" for problem in caught.value.problems]
    return caught.value.problems


@pytest.mark.usefixtures("clean")
def test_a_recipe_is_read(file: Write) -> None:
    """A file of a few lines is a whole recipe, with a default for all it does not say."""
    recipe = load(file("cards.toml", GOOD))
    assert (recipe.name, recipe.rows, recipe.chat, recipe.fallbacks) == ("cards", (), None, ())
    assert (recipe.sampling.max_tokens, recipe.call.items, recipe.call.attempts, recipe.call.retry_invalid) == (
        4000,
        1,
        5,
        0,
    )


@pytest.mark.usefixtures("clean")
def test_every_problem_of_form_at_once(file: Write) -> None:
    """Fields that are missing, unknown or out of range are named together, each with its value."""
    path = file(
        "bad.toml",
        'name = "My quiz"\nmodl = "a"\noutput = 3\nprompt = ""\nrows = "passage"\n'
        "[sampling]\ntemperature = 3\nwarmth = 1\nschedule = [{ from = 2, top_p = 0 }]\n"
        '[axes]\na = []\nb = { x = 0 }\nc = 3\nd = { x = "q" }\ne = { x = inf }\nf = {}\n'
        "[call]\nitems = 0\nsplit = 1.5\nattempts = 0\ntimeout_seconds = 601\n[chat]\nuser = 3\n",
    )
    found = {problem.partition(": ")[0]: problem.partition(": ")[2] for problem in problems(path)}
    expected = {
        "name": "String should match pattern '^[a-z][a-z0-9_]*$' (is 'My quiz').",
        "model": "is missing.",
        "modl": "unknown field.",
        "output": 'an output is "module:Class", or a table that holds a JSON Schema (is 3).',
        "prompt": "String should have at least 1 character (is '').",
        "rows": "Input should be a list (is 'passage').",
        "sampling.temperature": "Input should be less than or equal to 2 (is 3).",
        "sampling.warmth": "unknown field.",
        "sampling.schedule.0.from": "Input should be less than or equal to 1 (is 2).",
        "sampling.schedule.0.top_p": "Input should be greater than 0 (is 0).",
        "axes.a": "an axis is a list of values, or a table of values with weights (is []).",
        "axes.b": "a weighted axis needs values with weights above 0 (is {'x': 0}).",
        "axes.c": "an axis is a list of values, or a table of values with weights (is 3).",
        "axes.d": "a weighted axis needs values with weights above 0 (is {'x': 'q'}).",
        "axes.e": "a weighted axis needs values with weights above 0 (is {'x': inf}).",
        "axes.f": "a weighted axis needs values with weights above 0 (is {}).",
        "call.items": "Input should be greater than or equal to 1 (is 0).",
        "call.split": "Input should be a valid integer, got a number with a fractional part (is 1.5).",
        "call.attempts": "Input should be greater than or equal to 1 (is 0).",
        "call.timeout_seconds": "Input should be less than or equal to 600 (is 601).",
        "chat.user": "Input should be a valid string (is 3).",
    }
    assert {field: found.get(field) for field in expected} == expected


@pytest.mark.usefixtures("clean")
def test_every_problem_of_content_at_once(file: Write) -> None:
    """What is well formed and would go wrong later is named together: names, models, sampling, split, chat, output."""
    path = file(
        "bad.toml",
        f'name = "cards"\nmodel = "{HAIKU}"\nfallbacks = ["gpt-9"]\nprompt = "{{{{ tema }}}} {{{{ subject.name }}}}"\n'
        'system = "Parla di {{ tema }}."\n[sampling]\ntemperature = 1.5\nmax_tokens = 70000\n'
        "[call]\nitems = 3\nsplit = 2\n[axes]\nsubject = [{ name = 'storia' }]\n"
        '[chat]\nuser = "{{ domanda }}"\nassistant = "{{ a"\n'
        '[output]\ntype = "object"\n[output.properties]\nfree = { type = "object" }\n',
    )
    found = problems(path)
    starts = [
        "prompt: {{ tema }} is given by no axis and no row.",
        "system: takes no template names",
        "output.free: an object without named properties",
        "chat.user: {{ domanda }} is no field of the output and no axis.",
        "chat.assistant: ",
        "call.split: 2 calls cannot share 3 items evenly",
        'fallbacks: "gpt-9" is not known; there are ',
        f"sampling.temperature: 1.5 is outside what {HAIKU} takes (0.0 to 1.0).",
    ]
    for start in starts:
        assert [problem for problem in found if problem.startswith(start)], (start, found)
    assert len(found) == len(starts)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = \n", "not a TOML file"),
        (HEAD + 'prompt = "{{ a"\n' + TABLE, "prompt: "),
        (HEAD + 'prompt = "{% if %}"\n' + TABLE, "prompt: "),
        (HEAD + 'prompt = "x"\noutput = "nowhere_at_all:Card"\n', "output: class"),
        (HEAD + 'prompt = "x"\noutput = "json:dumps"\n', 'output: module "json" may not be imported here; '),
        (HEAD + 'prompt = "x"\noutput = "config.recipes.schemas:Nothing"\n', "output: class"),
        (HEAD + 'prompt = "x"\noutput = "config.recipes.schemas.base:Any"\n', "output: "),
        (HEAD + 'prompt = "x"\noutput = "Card"\n', "output: class"),
        (HEAD + 'prompt = "x"\noutput = ".cards:Card"\n', "output: "),
        (HEAD + 'prompt = "x"\n[output]\ntype = "objct"\n', "[output]: not a JSON Schema: 'objct'"),
        (HEAD + 'prompt = "x"\n[output]\ntype = "string"\n', "[output]: the outermost schema must be an object."),
        (
            HEAD + 'prompt = "{{ a }}"\nrows = ["a"]\naxes = { a = [1] }\n' + TABLE,
            "axes.a: is also a column of the rows",
        ),
        (GOOD + '[chat]\nuser = "x"\n', "chat: needs user and assistant"),
        (GOOD + '[chat]\nmessages = "b"\n', 'chat.messages: "b" is no field of the output.'),
        (GOOD + '[chat]\nuser = "{{ items }}"\nassistant = "{{ a }}"\n', "chat.user: {{ items }} is no field"),
    ],
)
def test_one_problem(file: Write, text: str, said: str) -> None:
    """Each kind of mistake is found before anything is enqueued, and alone where it is the only one."""
    found = problems(file("bad.toml", text))
    assert len(found) == 1
    assert found[0].startswith(said)


@pytest.mark.usefixtures("clean")
def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and a file in another encoding are each said to be that."""
    (tmp_path / "latin.toml").write_bytes("name = 'perché'".encode("latin-1"))
    assert problems(tmp_path / "none.toml") == ["no such file."]
    assert problems(tmp_path / "latin.toml")[0].startswith("not a TOML file")


NAMES = st.sampled_from(["a", "$ref", "type", "properties", "items", "anyOf", "user", "assistant", "messages"])
WORDS = st.sampled_from(["", "a", "object", "array", "{{ a }}", "{{", "#/$defs/a", "#", HAIKU, "json:dumps"])
TOML = st.recursive(
    st.booleans() | st.integers(-3, 3) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
FREE = st.sampled_from(["system", "prompt", "output", "rows", "axes", "chat", "fallbacks"])


@given(st.dictionaries(FREE, TOML, min_size=1))
@example({"output": {"type": "object", "properties": {"a": {"$ref": "#"}}}})
@example({"output": {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}})
@example({"chat": {"messages": "a", "user": "{{"}})
def test_any_table_is_a_recipe_or_is_refused(table: dict[str, Any]) -> None:
    """Whatever stands in a file, its mistakes are a user's mistakes and never an error of ours."""
    try:
        recipe = recipe_of(**table)
    except ValidationError:
        return
    assert all(problem.endswith(".") for problem in recipe_problems(recipe))


CLASS = """
from typing import Any
from pydantic import BaseModel, ValidationInfo, field_validator

class Card(BaseModel):
    question: str

    @field_validator("question")
    @classmethod
    def about_the_subject(cls, question: str, info: ValidationInfo) -> str:
        subject = (info.context or {}).get("variables", {}).get("subject", "")
        if subject not in question:
            raise ValueError(f"says nothing of {subject}")
        return question
"""


@pytest.mark.usefixtures("clean")
def test_the_users_class_stands_beside_the_recipe(file: Write) -> None:
    """A recipe names a pydantic class in a module of its own folder; its checks see the row's and the axes' values."""
    file("mine/cards_beside_their_recipe.py", CLASS)
    path = file("mine/cards.toml", HEAD + 'prompt = "x"\noutput = "cards_beside_their_recipe:Card"\n')
    output = load(path).checked_output
    assert output.name == "Card"
    assert output.schema["additionalProperties"] is False
    good, bad = '{"question": "La storia?"}', '{"question": "Il clima?"}'
    assert output.read(good, 1, {"subject": "storia"}) == [{"question": "La storia?"}]
    (refused,) = output.read(bad, 1, {"subject": "storia"})
    assert getattr(refused, "detail", None) == "question: says nothing of storia"


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("module", "body", "said"),
    [
        ("card_with_a_slip", "class Card(:\n", 'output: module "card_with_a_slip" cannot be imported: SyntaxError'),
        ("card_that_fails", "1 / 0\n", 'output: module "card_that_fails" cannot be imported: ZeroDivisionError'),
        ("card_that_imports", "import nowhere_at_all\n", "output: class"),
        (
            "card_without_schema",
            "from collections.abc import Callable\nfrom pydantic import BaseModel\n"
            "class Card(BaseModel):\n    f: Callable[[], None]\n",
            'output: "card_without_schema:Card" has no JSON Schema',
        ),
    ],
)
def test_a_module_that_fails(file: Write, module: str, body: str, said: str) -> None:
    """A user's module that cannot be imported, or a class without a schema, is a problem of the recipe."""
    file(f"{module}.py", body)
    found = problems(file("bad.toml", HEAD + f'prompt = "x"\noutput = "{module}:Card"\n'))
    assert len(found) == 1
    assert found[0].startswith(said)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("model", "fallbacks", "said"),
    [
        (HAIKU, ("anthropic/claude-3.5-haiku", "openai/gpt-4o"), None),
        (HAIKU, (), None),
        ("gpt-4o", (), None),
        (HAIKU, ("gpt-4o",), "fallbacks: only OpenRouter fails over"),
        ("gpt-4o", (HAIKU,), "fallbacks: only OpenRouter fails over"),
        ("gpt-4o", ("gpt-4o",), "fallbacks: only OpenRouter fails over"),
        (HAIKU, ("gpt-9",), 'fallbacks: "gpt-9" is not known'),
    ],
)
def test_fallbacks(model: str, fallbacks: tuple[str, ...], said: str | None) -> None:
    """Fallbacks are for models that OpenRouter reaches, all of them known."""
    found = recipe_problems(recipe_of(model=model, fallbacks=fallbacks))
    assert [problem[: len(said or "")] for problem in found] == ([said] if said else [])


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("model", "sampling", "call", "said"),
    [
        (HAIKU, {"temperature": 1.0, "max_tokens": 64_000}, {}, []),
        ("gpt-4o", {"temperature": 1.5}, {}, []),
        (HAIKU, {"temperature": 1.1}, {}, ["sampling.temperature: 1.1 is outside"]),
        (HAIKU, {"schedule": [{"from": 0.8, "temperature": 2}]}, {}, ["sampling.temperature: 2.0 is outside"]),
        (HAIKU, {"max_tokens": 64_001}, {}, ["sampling.max_tokens: 64001 is more than"]),
        (HAIKU, {"max_tokens": 128_000}, {"items": 2, "split": 2}, []),
        (HAIKU, {"max_tokens": 128_002}, {"items": 2, "split": 2}, ["sampling.max_tokens: 64001 is more than"]),
        (HAIKU, {"max_tokens": 200_000}, {}, ["sampling.max_tokens: 200000 is m", "sampling.max_tokens: 200000 fills"]),
    ],
)
def test_sampling_against_the_model(
    model: str, sampling: dict[str, Any], call: dict[str, int], said: list[str]
) -> None:
    """Temperatures, those of the schedule too, and tokens a call must be what the model takes."""
    found = recipe_problems(recipe_of(model=model, sampling=sampling, call=call))
    assert [problem[: len(start)] for problem, start in zip(found, said, strict=True)] == said


@pytest.mark.usefixtures("clean")
def test_sampling_is_checked_against_fallbacks_too() -> None:
    """A temperature that the model takes and a fallback does not is a problem."""
    found = recipe_problems(
        recipe_of(model="openai/gpt-4o", fallbacks=(HAIKU,), sampling={"temperature": 1.5, "max_tokens": 10})
    )
    assert [problem.startswith("sampling.temperature: 1.5 is outside what anthropic") for problem in found] == [True]


@pytest.mark.parametrize(
    ("items", "split", "max_tokens", "per_call"),
    [(1, 1, 4000, (1, 4000)), (4, 2, 4000, (2, 2000)), (9, 3, 100, (3, 33)), (2, 2, 1, (1, 1))],
)
def test_split(items: int, split: int, max_tokens: int, per_call: tuple[int, int]) -> None:
    """A split call asks for its part of the items with its part of the tokens."""
    recipe = recipe_of(call={"items": items, "split": split}, sampling={"max_tokens": max_tokens})
    assert (recipe.items_per_call, recipe.max_tokens_per_call) == per_call


@pytest.mark.parametrize(
    ("prompt", "chat", "needed"),
    [
        ("{{ passage }}", None, {"passage"}),
        ("{{ items }} {{ subject }}", None, {"passage"}),
        ("{{ passage }} {{ title }}", None, {"passage", "title"}),
        ("{% if title is defined %}{{ title }}{% endif %}", None, {"passage"}),
        ("{% if title  is  defined and note is defined %}{{ title }}{{ note }}{% endif %}", None, {"passage"}),
        ("{% for w in words %}{{ w }}{% endfor %}", None, {"passage", "words"}),
        ("{{ book.title }}", None, {"passage", "book"}),
        (
            "x",
            {"user": "{{ source }} {{ question }} {{ subject }}", "assistant": "{{ answer }}"},
            {"passage", "source"},
        ),
        ("x", {"user": "{% if n is defined %}{{ n }}{% endif %}", "assistant": "{{ answer }}"}, {"passage"}),
    ],
)
def test_columns(prompt: str, chat: dict[str, str] | None, needed: set[str]) -> None:
    """Rows must have the columns listed and those that templates need; not axes, output fields or guarded names."""
    assert columns(recipe_of(prompt=prompt, rows=["passage"], chat=chat)) == needed


def test_columns_of_a_recipe_without_rows() -> None:
    """A recipe that takes no rows needs no columns."""
    assert columns(recipe_of(prompt="{{ x }}")) == set()


SCHEDULE = {
    "temperature": 0.9,
    "top_p": 0.95,
    "presence_penalty": 0.1,
    "schedule": [{"from": 0.9, "temperature": 0.5}, {"from": 0.5, "temperature": 0.7, "top_p": 0.8}],
}


@pytest.mark.parametrize(
    ("fraction", "temperature", "top_p"),
    [(0, 0.9, 0.95), (0.4999, 0.9, 0.95), (0.5, 0.7, 0.8), (0.9, 0.5, 0.8), (1, 0.5, 0.8)],
)
def test_schedule(fraction: float, temperature: float, top_p: float) -> None:
    """From its fraction of the job on a step holds, the latest last, in whatever order they are written."""
    found = Sampling.model_validate(SCHEDULE).at(fraction, ALL)
    assert found == {"temperature": temperature, "top_p": top_p, "presence_penalty": 0.1}


def test_only_what_the_model_takes() -> None:
    """Values that the model does not take are left out, those of the schedule too."""
    assert Sampling.model_validate(SCHEDULE).at(1, frozenset({"top_p"})) == {"top_p": 0.8}
    assert Sampling.model_validate(SCHEDULE).at(1, frozenset()) == {}


def test_rendering() -> None:
    """A prompt takes the row's and axes' values and the number of items, and HTML is not escaped."""
    recipe = recipe_of(prompt="\n{{ items }}: {{ topic.name }} & {{ text }}\n")
    assert recipe.render({"topic": {"name": "Po"}, "text": "<b>"}, 3) == "3: Po & <b>"


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ missing }}",
        "{{ subject.missing }}",
        "{{ 1 / 0 }}",
        "{{ subject + 1 }}",
        "{{ subject.__class__.__mro__ }}",
        "{{ subject | sort(attribute='x') }}",
    ],
)
def test_rendering_that_fails(prompt: str) -> None:
    """Whatever a template does wrong with the values, the error is the recipe's and names its field."""
    with pytest.raises(RecipeError) as caught:
        recipe_of(prompt=prompt).render({"subject": "storia"}, 1)
    assert caught.value.problems[0].startswith("prompt: ")


def test_a_value_is_not_a_template() -> None:
    """Braces in a row's text stay as they are."""
    assert recipe_of(prompt="{{ text }}").render({"text": "{{ subject }}"}, 1) == "{{ subject }}"


FIELDS = {"question": "Chi?", "answer": "Io."}


@pytest.mark.parametrize(
    ("chat", "messages"),
    [
        (None, None),
        (
            {"user": " {{ question }}\n", "assistant": "{{ answer }}"},
            [{"role": "user", "content": "Chi?"}, {"role": "assistant", "content": "Io."}],
        ),
        (
            {"system": "Di {{ subject }}.", "user": "{{ question }}", "assistant": "{{ answer }}"},
            [
                {"role": "system", "content": "Di storia."},
                {"role": "user", "content": "Chi?"},
                {"role": "assistant", "content": "Io."},
            ],
        ),
    ],
)
def test_conversation_from_templates(chat: dict[str, str] | None, messages: list[dict[str, str]] | None) -> None:
    """An example becomes messages from its fields and its variables; without [chat] it does not."""
    assert recipe_of(chat=chat).conversation(FIELDS, {"subject": "storia"}) == messages


def test_conversation_from_a_field() -> None:
    """A field that is a list of messages is the conversation, after the recipe's own system message if it has one."""
    turns = [
        {"role": "user", "content": "Ciao", "name": None},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    kept = [{"role": "user", "content": "Ciao"}, {"role": "assistant", "tool_calls": []}]
    plain = recipe_of(chat={"messages": "turns"})
    assert plain.conversation({"turns": turns}, {}) == kept
    headed = recipe_of(chat={"messages": "turns", "system": "Di {{ subject }}."})
    head = {"role": "system", "content": "Di storia."}
    assert headed.conversation({"turns": turns}, {"subject": "storia"}) == [head, *kept]


def test_output_stands_before_variables() -> None:
    """Where an output field and a variable have one name, the conversation takes the output's."""
    recipe = recipe_of(chat={"user": "{{ question }}", "assistant": "x"})
    said = recipe.conversation(FIELDS, {"question": "altro"})
    assert said is not None
    assert said[0]["content"] == "Chi?"


@pytest.mark.parametrize(
    "chat",
    [
        {"messages": "turns"},
        {"messages": "answer"},
        {"user": "{{ nothing }}", "assistant": "x"},
        {"user": "{{ answer + 1 }}", "assistant": "x"},
    ],
)
def test_conversation_that_fails(chat: dict[str, str]) -> None:
    """A conversation that cannot be made of an example is an error of the recipe."""
    with pytest.raises(RecipeError) as caught:
        recipe_of(chat=chat).conversation(FIELDS, {})
    assert caught.value.problems[0].startswith("chat: ")


def test_a_recipe_travels_as_json() -> None:
    """A worker that has never seen the file gets the same recipe from its JSON."""
    recipe = recipe_of(
        sampling=SCHEDULE, chat={"user": "{{ question }}", "assistant": "x"}, axes={"a": {"x": 0.5}, "b": [{"c": 1}]}
    )
    assert Recipe.model_validate_json(recipe.model_dump_json(by_alias=True)) == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_recipes_by_name(clean: pytest.MonkeyPatch, file: Write, tmp_path: Path) -> None:
    """The user's folder stands before the built-in recipes; a path is taken as it is; an unknown name is told all."""
    path = file("mine/quiz.toml", GOOD)
    file("mine/other.toml", GOOD)
    clean.setenv("GENFLEET_RECIPES", str(tmp_path / "mine"))
    assert recipe_files()["quiz"] == path
    assert {"rag", "other"} <= set(recipe_files())
    assert find("quiz").name == find(str(path)).name == "cards"
    with pytest.raises(RecipeError, match=r"no such recipe; there are .*other.*quiz"):
        find("quizz")


@pytest.mark.usefixtures("clean")
def test_models_of_a_recipe() -> None:
    """The model and its fallbacks come in the order in which they are tried."""
    used = recipe_of(fallbacks=["openai/gpt-4o"]).used_models()
    assert used == [models()[HAIKU], models()["openai/gpt-4o"]]


def test_the_sample_is_sound() -> None:
    """The recipe that these tests change has no problem of its own."""
    assert recipe_problems(recipe_of(output=OUTPUT)) == []
