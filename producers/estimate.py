"""What a job will probably cost, and how long it will take: said before it is started."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from config.models import Limits, Model
from config.recipe import Recipe
from config.settings import settings
from ledger.learned import Figures
from producers.forecast import SHARE, Range, interval
from producers.part_cost import Part, guessed, learned
from producers.plan import Plan
from producers.prompt_sizes import prompt_sizes

WINDOW = 60.8  # seconds that a limit per minute is kept over, as in admit.lua
_BATCH = 100  # tasks between two waits of BATCH_DELAY_MS


@dataclass(frozen=True)
class Known:
    """What is known before the start.

    Attributes:
        limits: of the model, in force.
        figures: by recipe; a recipe is missing as long as no call of it was answered.
        left: tasks that are not settled, of a job that was begun; None is all.
        others: other jobs that run with the same model, and share its limits.
        today: nano-dollars that the fleet may still spend today (UTC); None where nothing bounds it.
        capacity: calls that the workers can have in flight; None where that is not known.
    """

    limits: Limits
    figures: dict[str, Figures] = field(default_factory=dict)
    left: int | None = None
    others: int = 0
    today: int | None = None
    capacity: int | None = None


@dataclass(frozen=True)
class Estimate:
    """What a job will probably come to.

    Attributes:
        examples, calls: what is to be made, and the calls that make it, as far as they are not settled yet.
        cost: nano-dollars. With every recipe known, `share` of such jobs end inside the range; with one that is
            guessed, from a fortieth of max_tokens to all of it.
        share: 0.9, or None for a guess.
        worst: nano-dollars that a budget would reserve if every byte were a token and every answer took all of
            max_tokens, as often as the recipe lets an answer be bought. Calls that are never answered come on top.
        worst_call: nano-dollars, the most of a single call.
        prompt_tokens, completion_tokens: expected, of all answers that are paid for.
        requests: expected, with those that fail and are made again.
        seconds: under all limits.
        under: seconds that each limit alone asks for: "requests", "tokens" (as the provider counts them),
            "concurrent", "workers", "enqueuing".
        binds: the one that asks for most.
        seen: answered calls behind it, by recipe.
        guessed: recipes of which no call was answered yet.
        changed: recipes whose figures are from before they were changed.
    """

    examples: int
    calls: int
    cost: Range
    share: float | None
    worst: int
    worst_call: int
    prompt_tokens: int
    completion_tokens: int
    requests: int
    seconds: Range
    under: dict[str, float]
    binds: str | None
    seen: dict[str, int]
    guessed: tuple[str, ...]
    changed: tuple[str, ...]


def estimate(planned: Plan, known: Known, seconds: float | None = None) -> Estimate:
    """What the job will probably come to, from a sample of its prompts and what is known of its recipes.

    `seconds` is how long rows may be gone through; those that were not reached by then are taken to be alike.

    Raises:
        RecipeError: a prompt cannot be rendered with its variables.
        RowsError: the rows can no longer be read.
    """
    share_left = 1.0 if known.left is None else known.left / max(1, planned.units)
    most_in, most_out = planned.worst_nano_usd
    parts, worst, worst_call = [], 0.0, 0
    for share, sizes in zip(planned.parts, prompt_sizes(planned, seconds), strict=True):
        calls, figures = share.calls * share_left, known.figures.get(share.recipe.name)
        size = sum(sizes) / len(sizes)
        parts.append(
            guessed(share.recipe, planned.model, calls, size)
            if figures is None
            else learned(share.recipe, planned.model, calls, size, figures)
        )
        most = share.recipe.max_tokens_per_call * most_out
        worst += calls * _answers(share.recipe, planned.model) * (_largest(sizes, share.calls) * most_in + most)
        worst_call = max(worst_call, max(sizes) * most_in + most)
    cost = _cost(parts)
    under = [_under(parts, end, known) for end in range(3)]
    names = [share.recipe.name for share in planned.parts]
    totals = [
        max(each.values(), default=0.0) + max(part.latency[end] for part in parts) for end, each in enumerate(under)
    ]
    unseen = tuple(dict.fromkeys(name for name in names if name not in known.figures))
    return Estimate(
        examples=round(planned.spec.total * share_left),
        calls=round(planned.units * share_left),
        # A provider that asks more than its price says makes the budget reserve more too.
        cost=Range(cost.low, cost.mean, min(cost.high, max(worst, cost.mean))),
        share=None if unseen else SHARE,
        worst=math.ceil(max(worst, cost.mean)),
        worst_call=worst_call,
        prompt_tokens=round(sum(part.prompt.mean for part in parts)),
        completion_tokens=round(sum(part.completion.mean for part in parts)),
        requests=round(sum(part.requests for part in parts)),
        seconds=Range(*totals),
        under=under[1],
        binds=max(under[1], key=under[1].__getitem__) if under[1] else None,
        seen={name: known.figures[name].calls for name in names if name in known.figures},
        guessed=unseen,
        changed=tuple(dict.fromkeys(name for name in names if name in known.figures and known.figures[name].changed)),
    )


def _largest(sizes: list[int], calls: int) -> float:
    """The mean prompt in bytes; of a sample, so much above it that the mean of all is hardly more."""
    mean = sum(sizes) / len(sizes)
    if len(sizes) >= calls or len(sizes) < 2:
        return mean
    squares = sum((size - mean) ** 2 for size in sizes) / (len(sizes) - 1)
    return mean + 3 * math.sqrt(squares / len(sizes))


def _answers(recipe: Recipe, model: Model) -> int:
    """The most answers that a task may buy: one, those that the recipe lets it buy again, and one cut by our cap."""
    return 1 + recipe.call.retry_invalid + (model.token_counting == "reserved")


def _cost(parts: list[Part]) -> Range:
    """The sum: variances add up where calls were seen, ends of the ranges where they are guessed."""
    seen = [part for part in parts if part.variance is not None]
    mean = sum(part.cost.mean for part in seen)
    sums = [interval(mean, sum(part.variance or 0.0 for part in seen), min(part.seen for part in seen))] if seen else []
    sums += [part.cost for part in parts if part.variance is None]
    return Range(*(sum(cost[end] for cost in sums) for end in range(3)))


def _under(parts: list[Part], end: int, known: Known) -> dict[str, float]:
    """Seconds that each limit asks for, at one end of the ranges; calls in flight by Little's law, L = λW."""
    requests = sum(part.requests for part in parts)
    tokens = sum(part.prompt[end] + part.counted[end] for part in parts)
    busy = sum(part.requests * part.latency[end] for part in parts)
    limits, under = known.limits, {}
    if limits.requests_per_minute:
        under["requests"] = requests / limits.requests_per_minute * WINDOW
    if limits.tokens_per_minute:
        under["tokens"] = tokens / limits.tokens_per_minute * WINDOW
    if limits.concurrent_requests:
        under["concurrent"] = busy / limits.concurrent_requests
    if known.capacity:
        under["workers"] = busy / known.capacity
    if settings().batch_delay_ms:
        under["enqueuing"] = sum(part.calls for part in parts) / _BATCH * settings().batch_delay_ms / 1000
    return under
