"""What one recipe's calls come to: from those that were seen, or from prices and max_tokens alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from config.models import Model
from config.recipe import Recipe
from ledger.learned import Figures
from producers.forecast import Range, interval, variance

#: Of admit.lua, for providers that take max_tokens at admission: the margin over the 99th percentile that is asked
#: for, and the calls after which that percentile is known.
MARGIN, P99_KNOWN = 1.25, 40
#: Before any call: prompt tokens per byte, the share of max_tokens that is used, and how fast a model writes.
RATIO, _USED = Range(0.2, 0.3, 0.45), Range(1 / 40, 1 / 4, 1.0)
_TOKENS_A_SECOND, _FIRST_TOKEN_SECONDS = 60.0, 1.0
_P99_OVER_MEAN = 2.7  # of a lognormal of sigma 0.5
#: What figures of running means, or of a recipe before it was changed, may be off by: one standard deviation.
_DRIFTS, _CHANGED = 0.10, 0.25


@dataclass(frozen=True)
class Part:
    """One recipe's share of a job.

    Attributes:
        calls: that settle, each with at least one request.
        requests: with those that fail, or whose answer is bought again.
        prompt, completion: tokens, in all.
        counted: completion tokens as the provider takes them from its limit.
        latency: seconds of a call.
        cost: nano-dollars, in all.
        variance: of the cost; None where its range is a guess.
        seen: calls of equal weight that it rests on.
    """

    calls: float
    requests: float
    prompt: Range
    completion: Range
    counted: Range
    latency: Range
    cost: Range
    variance: float | None
    seen: float = 0.0


def learned(recipe: Recipe, model: Model, calls: float, size: float, known: Figures) -> Part:
    """What `calls` calls with prompts of `size` bytes come to, from those that were seen.

    Prompts of another size than those seen cost more or less at the full price of a prompt token. Half of that is
    added to the doubt, and so is half of what the answers would cost if they were as much longer or shorter.
    """
    price_in, price_out = model.price.plain_nano_usd()
    prompt = known.ratio * size * known.bought
    before = known.prompt
    if before is None:
        before = (known.cost - known.completion * price_out) / price_in if price_in else prompt
    more = (prompt - before) * price_in
    answers = min(known.completion * price_out, known.cost)
    longer = min(2.0, abs(prompt / before - 1)) if before > 0 else 0.0
    mean = max(known.cost + more, known.cost / 10)
    doubt = 0.5 * (abs(more) + longer * answers) / mean if mean else 0.0
    doubt = math.hypot(doubt, _DRIFTS * known.drifts, _CHANGED * known.changed)
    spread = variance(mean, known.spread * known.cost / mean if mean else 0.0, known.weight, calls, doubt)
    cost = interval(mean * calls, spread, known.weight)
    scale = Range(*(end / cost.mean if cost.mean else 1.0 for end in cost))
    completion = Range(*(calls * known.completion * end for end in scale))
    later = known.p99 or known.completion / known.bought * _P99_OVER_MEAN
    return Part(
        calls=calls,
        requests=calls * known.attempts,
        prompt=Range(*(calls * prompt,) * 3),
        completion=completion,
        counted=_counted(recipe, model, calls * known.bought, Range(*(later,) * 3), completion, known.p99 is not None),
        latency=Range(*(known.latency,) * 3),
        cost=cost,
        variance=spread,
        seen=known.weight,
    )


def guessed(recipe: Recipe, model: Model, calls: float, size: float) -> Part:
    """What `calls` calls with prompts of `size` bytes come to, from prices, those bytes and max_tokens alone.

    Most answers use a small part of max_tokens: a fortieth at the low end, all of it at the high end.
    """
    price_in, price_out = model.price.plain_nano_usd()
    answer = Range(*(max(1.0, used * recipe.max_tokens_per_call) for used in _USED))
    prompt = Range(*(calls * size * ratio for ratio in RATIO))
    completion = Range(*(calls * tokens for tokens in answer))
    return Part(
        calls=calls,
        requests=calls,
        prompt=prompt,
        completion=completion,
        counted=_counted(recipe, model, calls, Range(*(_P99_OVER_MEAN * end for end in answer)), completion, False),
        latency=Range(*(_FIRST_TOKEN_SECONDS + tokens / _TOKENS_A_SECOND for tokens in answer)),
        cost=Range(*(before * price_in + after * price_out for before, after in zip(prompt, completion, strict=True))),
        variance=None,
    )


def _counted(recipe: Recipe, model: Model, calls: float, p99: Range, completion: Range, known: bool) -> Range:
    """Completion tokens as the provider takes them from its limit.

    One that takes max_tokens at admission is asked for all of the recipe's until a 99th percentile is known.
    """
    if model.token_counting == "actual":
        return completion
    most = recipe.max_tokens_per_call
    first = 0.0 if known else min(calls, P99_KNOWN)
    return Range(*(first * most + (calls - first) * min(most, math.ceil(MARGIN * tokens)) for tokens in p99))
