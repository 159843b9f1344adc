"""What a call used and what it cost, from the `usage` of its answer.

Sources: OpenAI's and OpenRouter's references of `usage`. There, `prompt_tokens` holds cached and written tokens, and
`completion_tokens` those of reasoning, which cost the same and are not told apart here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from config.models import Model, models
from config.money import to_nano_usd
from workers.loose import MOST_USD, count, number, table

#: A model's name with a day: gpt-4o-2024-08-06, claude-haiku-4.5-20251001, deepseek-chat-0324.
_DATED = re.compile(
    r"(?P<model>.+)[-@](?:20\d\d-\d\d-\d\d|20\d{6}|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?P<variant>:.*)?"
)


class Tokens(NamedTuple):
    """Of one call; those read from a cache (`cached`) and written to one (`written`) are part of `prompt`."""

    prompt: int
    completion: int
    cached: int
    written: int


def tokens_of(usage: dict[str, Any]) -> Tokens:
    """The tokens that an answer tells, as OpenAI, OpenRouter or servers that pass on Anthropic's names write them."""
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    details = table(usage.get("prompt_tokens_details"))
    read, created = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    beside = read + created
    # Anthropic counts these beside the prompt. Some servers add them to it and some do not: the sums tell.
    if beside > prompt or (beside and count(usage.get("total_tokens")) == prompt + completion + beside):
        prompt += beside
    cached = min(prompt, max(read, count(details.get("cached_tokens"))))
    written = min(prompt - cached, max(created, count(details.get("cache_write_tokens"))))
    return Tokens(prompt, completion, cached, written)


def cost_of(
    usage: dict[str, Any], tokens: Tokens, answered_by: str, candidates: Sequence[Model]
) -> tuple[int | None, str]:
    """The call's cost in nano-dollars, and who says so: provider, prices (the price table) or, with None, unknown.

    Args:
        candidates: the models that were asked for, the first choice first.
    """
    if (dollars := number(usage.get("cost"), MOST_USD)) is not None:
        return to_nano_usd(dollars), "provider"
    if not (tokens.prompt or tokens.completion):
        return None, "unknown"
    return max(one.price.nano_usd(*tokens) for one in priced_as(answered_by, candidates)), "prices"


def priced_as(answered_by: str, candidates: Sequence[Model]) -> list[Model]:
    """The models whose price an answer may have: one where its name tells, else all that were asked for.

    An answer comes under the model's own name, that of a fallback, or a name with a day in it, whose words OpenRouter
    puts in another order for some: claude-4.5-haiku-20251001 is claude-haiku-4.5.
    """
    provider = candidates[0].provider.name
    known = {one.name: one for one in models().values() if one.provider.name == provider}
    known |= {one.name: one for one in candidates}
    if answered_by in known:
        return [known[answered_by]]
    dated = _DATED.fullmatch(answered_by)
    words = _words(dated["model"] + (dated["variant"] or "") if dated else answered_by)
    return [one for one in known.values() if _words(one.name) == words] or list(candidates)


def _words(name: str) -> list[str]:
    return sorted(re.split(r"[-/]", name.lower()))
