"""What in a well-formed recipe would go wrong later: templates, output, conversation, and the model's bounds."""

from __future__ import annotations

from jinja2 import TemplateError

from config.errors import RecipeError, reason
from config.models import models
from config.recipe import GIVEN, Recipe, Sampling, Step
from config.strict_schema import not_enforced
from config.templates import names_in, names_needed


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


def output_problems(recipe: Recipe) -> list[str]:
    """What a provider or a worker could not keep of the recipe's output, a sentence each."""
    try:
        return not_enforced(recipe.checked_output.schema)
    except RecipeError as error:
        return error.problems


def _template_problems(recipe: Recipe) -> list[str]:
    # A recipe that takes rows may use columns that only its rows know; they are checked with the rows.
    given = GIVEN | set(recipe.axes) | set(recipe.rows)
    problems = []
    try:
        names = names_in(recipe.prompt)
        if not recipe.rows:
            problems += [f"prompt: {{{{ {name} }}}} is given by no axis and no row." for name in sorted(names - given)]
    except TemplateError as error:
        problems.append(f"prompt: {reason(error)}.")
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
            missing = sorted(names_needed(text) - fields - set(recipe.axes))
        except TemplateError as error:
            problems.append(f"chat.{role}: {reason(error)}.")
            continue
        if not recipe.rows:
            problems += [f"chat.{role}: {{{{ {name} }}}} is no field of the output and no axis." for name in missing]
    return problems


def _fields(recipe: Recipe) -> set[str]:
    return set(recipe.checked_output.schema.get("properties", {}))


def columns(recipe: Recipe) -> set[str]:
    """The columns that each row must have: those the recipe lists, and what its templates need from elsewhere.

    Names that a template guards with `is defined` are not needed.
    """
    if not recipe.rows:
        return set()
    needed = names_needed(recipe.prompt) - GIVEN
    for text in recipe.chat.templates().values() if recipe.chat is not None else ():
        needed |= names_needed(text) - _fields(recipe)
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
