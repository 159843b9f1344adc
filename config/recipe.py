"""A recipe: how examples of one kind are asked for, checked and turned into conversations."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from config.errors import RecipeError, reason
from config.frozen import Frozen
from config.models import Model, model
from config.templates import template

if TYPE_CHECKING:
    from config.output import Output

#: Names that every prompt may use besides its row's columns and its axes.
GIVEN = frozenset({"items"})
#: The time order that workers check rests on it.
LONGEST_CALL_SECONDS = 600


class Step(Frozen):
    """Sampling values that hold from a fraction of the job on."""

    model_config = ConfigDict(populate_by_name=True)

    from_: float = Field(alias="from", ge=0, le=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)


class Sampling(Frozen):
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


class Call(Frozen):
    """How the examples are divided into calls."""

    items: int = Field(1, ge=1, le=100)
    split: int = Field(1, ge=1, le=10)
    attempts: int = Field(5, ge=1, le=20)
    retry_invalid: int = Field(0, ge=0, le=10)
    timeout_seconds: float = Field(120, gt=0, le=LONGEST_CALL_SECONDS)


class Chat(Frozen):
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


class Recipe(Frozen):
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
    axes: dict[str, Axis] = Field(default_factory=dict)
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
        # Imported here: a library of schemas, which commands that only read the ledger need not wait for.
        from config.output import Output  # noqa: PLC0415

        return Output.load(self.output, self.name)

    def render(self, variables: dict[str, Any], items: int) -> str:
        """The user message for one call.

        Raises:
            RecipeError: the template fails on these variables, such as for a column that this row has not.
        """
        try:
            return template(self.prompt).render({**variables, "items": items}).strip()
        except Exception as error:  # whatever the expressions in it do
            raise RecipeError(self.name, [f"prompt: {reason(error)}."]) from None

    def conversation(self, output: dict[str, Any], variables: dict[str, Any]) -> list[dict[str, Any]] | None:
        """The example as chat messages ({role, content, …}), or None where the recipe has no [chat].

        Raises:
            RecipeError: [chat] fails on this example.
        """
        if self.chat is None:
            return None
        names, templates = {**variables, **output}, self.chat.templates()
        try:
            said = [{"role": role, "content": template(text).render(names).strip()} for role, text in templates.items()]
            turns = output[self.chat.messages] if self.chat.messages is not None else []
            return said + [{k: v for k, v in turn.items() if v is not None} for turn in turns]
        except Exception as error:  # whatever the expressions in it do
            raise RecipeError(self.name, [f"chat: {reason(error)}."]) from None

    def used_models(self) -> list[Model]:
        """The model and its fallbacks, in the order they are tried. Raises ModelsError for one not known."""
        return [model(name) for name in (self.model, *self.fallbacks)]
