"""A recipe: how examples of one kind are asked for, checked and turned into conversations."""

from __future__ import annotations

import copy
import math
import re
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from config.errors import RecipeError, UserError
from config.models import Model, model, models, read_toml
from config.output import Output, importable_from, not_enforced
from config.settings import settings

BUILT_IN = Path(__file__).with_name("recipes")
#: Names that every prompt may use besides its row's columns and its axes.
GIVEN = frozenset({"items"})

_jinja = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False, autoescape=False)


@lru_cache(maxsize=256)
def _template(text: str) -> Template:
    return _jinja.from_string(text)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Step(_Frozen):
    """Sampling values that hold from a fraction of the job on."""

    from_: float = Field(alias="from", ge=0, le=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)


class Sampling(_Frozen):
    """What is asked of the model's sampler; only what the model takes is sent."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    max_tokens: int = Field(4000, ge=1)
    schedule: tuple[Step, ...] = ()

    def at(self, fraction: float, taken: frozenset[str]) -> dict[str, Any]:
        """The values to send for an example at that fraction of its job, of those the model takes.

        Without max_tokens, which depends on how a recipe splits its calls.
        """
        values = self.model_dump(exclude={"schedule", "max_tokens"}, exclude_none=True)
        for step in sorted(self.schedule, key=lambda step: step.from_):
            if fraction >= step.from_:
                values |= step.model_dump(exclude={"from_"}, exclude_none=True)
        return {name: value for name, value in values.items() if name in taken}


class Call(_Frozen):
    """How the examples are divided into calls."""

    items: int = Field(1, ge=1, le=100)
    split: int = Field(1, ge=1, le=10)
    attempts: int = Field(5, ge=1, le=20)
    retry_invalid: int = Field(0, ge=0, le=10)
    timeout_seconds: float = Field(120, gt=0, le=600)


class Chat(_Frozen):
    """How an accepted example becomes a training conversation."""

    system: str | None = None
    user: str | None = None
    assistant: str | None = None
    messages: str | None = None

    def templates(self) -> dict[str, str]:
        """The templates that are used, by role."""
        roles = ("system",) if self.messages is not None else ("system", "user", "assistant")
        return {role: text for role in roles if (text := getattr(self, role))}


def _axis(values: Any) -> Any:
    if isinstance(values, dict):
        if not values or not all(isinstance(w, int | float) and 0 < w < math.inf for w in values.values()):
            raise ValueError("a weighted axis needs values with weights above 0")
    elif not isinstance(values, list) or not values:
        raise ValueError("an axis is a list of values, or a table of values with weights")
    return values


def _output(value: Any) -> Any:
    if not isinstance(value, str | dict):
        # Of errors, pydantic reports ValueErrors alone.
        raise ValueError('an output is "module:Class", or a table that holds a JSON Schema')  # noqa: TRY004
    return value


Axis = Annotated[list[Any] | dict[str, float], BeforeValidator(_axis)]


class Recipe(_Frozen):
    """One recipe, self-contained: a worker that has never seen its file can run it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)
    description: str = ""
    model: str
    fallbacks: tuple[str, ...] = ()
    system: str = ""
    prompt: str = Field(min_length=1)
    output: Annotated[str | dict[str, Any], BeforeValidator(_output)]
    rows: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    axes: dict[str, Axis] = {}
    call: Call = Call()
    chat: Chat | None = None

    @property
    def items_per_call(self) -> int:
        """Examples asked for in one call, after splitting."""
        return self.call.items // self.call.split

    @property
    def max_tokens_per_call(self) -> int:
        """The most tokens one call may answer with, after splitting."""
        return max(1, self.sampling.max_tokens // self.call.split)

    @cached_property
    def checked_output(self) -> Output:
        """The output's schema and checks. Raises RecipeError where its class cannot be imported."""
        return Output.load(self.output, self.name)

    def render(self, variables: dict[str, Any], items: int) -> str:
        """The user message for one call.

        Raises:
            RecipeError: the template fails on these variables, such as for a column that this row has not.
        """
        try:
            return _template(self.prompt).render({**variables, "items": items}).strip()
        except Exception as error:  # whatever the expressions in it do
            raise RecipeError(self.name, [f"prompt: {_said(error)}."]) from None

    def conversation(self, output: dict[str, Any], variables: dict[str, Any]) -> list[dict[str, Any]] | None:
        """The example as chat messages ({role, content, …}), or None where the recipe has no [chat].

        Raises:
            RecipeError: [chat] fails on this example.
        """
        if self.chat is None:
            return None
        names, templates = {**variables, **output}, self.chat.templates()
        try:
            said = [
                {"role": role, "content": _template(text).render(names).strip()} for role, text in templates.items()
            ]
            turns = output[self.chat.messages] if self.chat.messages is not None else []
            return said + [{k: v for k, v in turn.items() if v is not None} for turn in turns]
        except Exception as error:  # whatever the expressions in it do
            raise RecipeError(self.name, [f"chat: {_said(error)}."]) from None

    def used_models(self) -> list[Model]:
        """The model and its fallbacks, in the order they are tried. Raises ModelsError for one not known."""
        return [model(name) for name in (self.model, *self.fallbacks)]


def load(path: Path) -> Recipe:
    """The recipe in a file, every problem at once.

    Raises:
        RecipeError: one sentence per problem, with the field's name.
    """
    try:
        raw = read_toml(path, UserError)
    except UserError as error:
        raise RecipeError(str(path), [str(error).removeprefix(f"{path}: ")]) from None
    importable_from(path.parent)
    try:
        recipe = Recipe.model_validate(raw)
        problems: list[str] = []
    except ValidationError as error:
        problems = [_sentence(dict(e)) for e in error.errors()]
        recipe = _mended(raw, error)
    problems += recipe_problems(recipe)
    if problems:
        raise RecipeError(str(path), problems)
    return recipe


_STAND_INS: dict[str, Any] = {
    "name": "recipe",
    "prompt": "-",
    "output": {"type": "object", "properties": {"x": {"type": "string"}}},
}


def _mended(raw: dict[str, Any], error: ValidationError) -> Recipe:
    """The recipe with what is wrong left out or stood in for, so that all else in it can be checked as well."""
    mended = copy.deepcopy(raw)
    for problem in error.errors():
        first, *rest = problem["loc"]
        if first == "axes" and rest and isinstance(mended.get("axes"), dict):
            mended["axes"][rest[0]] = ["-"]
        elif first in _STAND_INS:
            mended[str(first)] = _STAND_INS[str(first)]
        elif first == "model":
            mended["model"] = next(iter(models()))
        elif len(rest) == 1 and isinstance(mended.get(str(first)), dict):
            mended[str(first)].pop(rest[0], None)
        else:
            mended.pop(str(first), None)
    return Recipe.model_validate(mended)


def _sentence(problem: dict[str, Any]) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    reason = problem["msg"].removeprefix("Value error, ")
    for python, toml in (("a valid tuple", "a list"), ("a valid dictionary", "a table")):
        reason = reason.replace(python, toml)
    match problem["type"]:
        case "missing":
            return f"{field}: is missing."
        case "extra_forbidden":
            return f"{field}: unknown field."
        case _:
            return f"{field}: {reason} (is {_short(problem['input'])})."


def _said(error: Exception) -> str:
    return str(error).rstrip(".")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def recipe_problems(recipe: Recipe) -> list[str]:
    """Everything in a well-formed recipe that would go wrong later, a sentence each."""
    problems = _template_problems(recipe)
    try:
        problems += not_enforced(recipe.checked_output.schema) + _chat_problems(recipe)
    except RecipeError as error:
        problems += error.problems
    if recipe.call.items % recipe.call.split:
        problems.append(
            f"call.split: {recipe.call.split} calls cannot share {recipe.call.items} items evenly; "
            "let items be a multiple of split."
        )
    for axis in recipe.axes:
        if axis in recipe.rows:
            problems.append(f"axes.{axis}: is also a column of the rows; rename one of them.")
    return problems + model_problems(recipe)


def _template_problems(recipe: Recipe) -> list[str]:
    # A recipe that takes rows may use columns that only its rows know; they are checked with the rows.
    given = GIVEN | set(recipe.axes) | set(recipe.rows)
    problems = []
    try:
        names = meta.find_undeclared_variables(_jinja.parse(recipe.prompt))
        if not recipe.rows:
            problems += [f"prompt: {{{{ {name} }}}} is given by no axis and no row." for name in sorted(names - given)]
    except TemplateError as error:
        problems.append(f"prompt: {_said(error)}.")
    if "{{" in recipe.system or "{%" in recipe.system:
        problems.append("system: takes no template names, so that the provider can cache it; move them to prompt.")
    return problems


def _chat_problems(recipe: Recipe) -> list[str]:
    chat, fields = recipe.chat, _fields(recipe)
    if chat is None:
        return []
    problems = []
    if chat.messages is None and not (chat.user and chat.assistant):
        problems.append('chat: needs user and assistant, or messages = "<output field>".')
    if chat.messages is not None and chat.messages not in fields:
        problems.append(f'chat.messages: "{chat.messages}" is no field of the output.')
    for role, text in chat.templates().items():
        try:
            missing = sorted(_needed(text) - fields - set(recipe.axes))
        except TemplateError as error:
            problems.append(f"chat.{role}: {_said(error)}.")
            continue
        if not recipe.rows:
            problems += [f"chat.{role}: {{{{ {name} }}}} is no field of the output and no axis." for name in missing]
    return problems


def _fields(recipe: Recipe) -> set[str]:
    return set(recipe.checked_output.schema.get("properties", {}))


def _needed(text: str) -> set[str]:
    """The names a template cannot do without: those it uses and does not guard with `is defined`."""
    guarded = set(re.findall(r"\b(\w+)\s+is\s+defined\b", text))
    return set(meta.find_undeclared_variables(_jinja.parse(text))) - guarded


def columns(recipe: Recipe) -> set[str]:
    """The columns that each row must have: those the recipe lists, and what its templates need from elsewhere.

    Names that a template guards with `is defined` are not needed.
    """
    if not recipe.rows:
        return set()
    needed = _needed(recipe.prompt) - GIVEN
    for text in recipe.chat.templates().values() if recipe.chat is not None else ():
        needed |= _needed(text) - _fields(recipe)
    return set(recipe.rows) | needed - set(recipe.axes)


def model_problems(recipe: Recipe) -> list[str]:
    """What of the sampling does not fit the models that may answer, a sentence each."""
    problems = []
    known = models()
    for place, name in [("model", recipe.model), *(("fallbacks", name) for name in recipe.fallbacks)]:
        if name not in known:
            problems.append(f'{place}: "{name}" is not known; there are {", ".join(sorted(known))}.')
            continue
        found = known[name]
        wanted = recipe.max_tokens_per_call
        if wanted > found.max_output_tokens:
            problems.append(
                f"sampling.max_tokens: {wanted} is more than {name} answers with ({found.max_output_tokens})."
            )
        if wanted >= found.context_window:
            problems.append(f"sampling.max_tokens: {wanted} fills the window of {name} ({found.context_window}).")
        low, high = found.temperature_range
        steps: list[Sampling | Step] = [recipe.sampling, *recipe.sampling.schedule]
        for value in {step.temperature for step in steps if step.temperature is not None}:
            if not low <= value <= high:
                problems.append(f"sampling.temperature: {value} is outside what {name} takes ({low} to {high}).")
    if recipe.fallbacks and all(name in known for name in (recipe.model, *recipe.fallbacks)):
        providers = {known[name].provider.name for name in (recipe.model, *recipe.fallbacks)}
        if len(providers) > 1 or known[recipe.model].provider.flavour != "openrouter":
            problems.append("fallbacks: only OpenRouter fails over, so every model named must be reached through it.")
    return problems


def find(name: str) -> Recipe:
    """A recipe by name (the user's folder first, then the built-in ones) or by the path of its file.

    Raises:
        RecipeError: there is none of that name, or it has problems.
    """
    if name.endswith(".toml") or "/" in name:
        return load(Path(name))
    files = recipe_files()
    if name not in files:
        known = ", ".join(sorted(files))
        raise RecipeError(name, [f"no such recipe; there are {known}, or give the path of a .toml file."])
    return load(files[name])


def recipe_files() -> dict[str, Path]:
    """The files of all recipes by name; the user's folder hides built-in ones of the same name."""
    folders = [BUILT_IN] + ([settings().recipes_folder] if settings().recipes_folder else [])
    return {path.stem: path for folder in folders if folder for path in sorted(folder.glob("*.toml"))}
