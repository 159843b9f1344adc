"""An estimate in words: a line or two before a job starts, a page for whoever asks."""

from __future__ import annotations

from typing import Any

from config.money import NANO, to_nano_usd
from console.reading.words import dollars, span
from producers.estimate import Estimate, Known
from producers.plan import Plan

_LIMITS = {
    "requests": "the limit on requests",
    "tokens": "the limit on tokens",
    "concurrent": "the limit on calls in flight",
    "workers": "what the workers can have in flight",
    "enqueuing": "BATCH_DELAY_MS",
}
_ALONE = {
    "requests": "requests",
    "tokens": "tokens",
    "concurrent": "calls in flight",
    "workers": "workers",
    "enqueuing": "BATCH_DELAY_MS",
}


def lines(made: Estimate, known: Known, planned: Plan, budget_usd: float | None, paid: int = 0) -> list[str]:
    """The estimate as `run` and `submit` say it; `paid` nano-dollars were spent on the job before."""
    rest = "" if known.left in (None, planned.units) else f", the {made.examples:,} examples left"
    said = [f"{planned.id}{rest}: {cost(made)}, {time(made)}; {source(made)}."]
    if made.guessed:
        said.append("`genfleet estimate` with the same arguments and --pilot makes 20 calls first, and knows better.")
    bounds = []
    if budget_usd is not None:
        bounds.append((to_nano_usd(budget_usd) - paid, f"The budget of {dollars(float(budget_usd))}"))
    if known.today is not None:
        bounds.append((known.today, f"What the fleet may still spend today (UTC), {dollars(known.today / NANO)},"))
    for most, name in bounds:
        if most < made.cost.mean:
            enough = f"about {_paid_for(made, most):,} of {made.examples:,} examples"
            guess = f"may be too low: if the guess is right it pays for {enough}."
            said.append(f"{name} {guess if made.share is None else f'is below that: it will pay for {enough}.'}")
    return said


def _paid_for(made: Estimate, most: int) -> int:
    """Examples that so much pays for: the last call must be able to cost the most that one can."""
    return max(0, min(made.examples - 1, int(made.examples * (most - made.worst_call) / made.cost.mean)))


def cost(made: Estimate) -> str:
    """What it will probably cost, with its range."""
    low, mean, high = (dollars(end / NANO) for end in made.cost)
    if made.share is None:
        return f"{low} to {high}"
    return f"probably {mean} ({low} to {high} for {made.share:.0%} of such jobs)"


def time(made: Estimate) -> str:
    """How long it will take, and what makes it so long."""
    low, mean, high = (span(end) for end in made.seconds)
    shown = f"about {mean}" if made.share is not None or low == high else f"{low} to {high}"
    return f"{shown} by {_LIMITS[made.binds]}" if made.binds else shown


def source(made: Estimate) -> str:
    """What it rests on."""
    seen = [f"{calls:,} calls of {name}" for name, calls in made.seen.items()]
    words = [f"from {', '.join(seen)}"] if seen else []
    if made.changed:
        words.append(f"which are of {', '.join(made.changed)} before the last change")
    if made.guessed:
        words.append(f"a guess from max_tokens and prices, as no call of {', '.join(made.guessed)} was seen")
    return "; ".join(words)


def page(made: Estimate, known: Known, planned: Plan, from_pilot: bool) -> list[tuple[str, str]]:
    """The estimate as `genfleet estimate` shows it: names and values."""
    alone = sorted(made.under.items(), key=lambda each: -each[1])
    shared = f"; {known.others} other jobs share the limits now, so longer" if known.others else ""
    again = f", {made.requests:,} requests with those made again" if made.requests > made.calls else ""
    pilot = "a pilot of 20: " if from_pilot and not made.guessed else ""
    return [
        ("Job", f"{made.examples:,} examples of {planned.spec.recipe_name}, {made.calls:,} calls{again}"),
        ("Model", planned.model.name),
        ("Cost", f"{cost(made)}; never more than {dollars(made.worst / NANO)}"),
        ("Tokens", f"about {_rounded(made.prompt_tokens)} in prompts, {_rounded(made.completion_tokens)} in answers"),
        ("Time", time(made) + shared),
        *([("Alone", ", ".join(f"{_ALONE[name]} {span(seconds)}" for name, seconds in alone))] if alone[1:] else []),
        ("From", pilot + source(made).removeprefix("from ")),
    ]


def _rounded(figure: int) -> str:
    return f"{float(f'{figure:.3g}'):,.0f}"


def as_json(made: Estimate, known: Known, planned: Plan, pilot: str | None) -> dict[str, Any]:
    """The estimate as one object: money in dollars, times in seconds."""
    low, mean, high = (round(end) / NANO for end in made.cost)
    return {
        "recipe": planned.spec.recipe_name,
        "model": planned.model.name,
        "total": made.examples,
        "calls": made.calls,
        "requests": made.requests,
        "cost_usd": mean,
        "cost_low_usd": low,
        "cost_high_usd": high,
        "range_share": made.share,
        "worst_usd": made.worst / NANO,
        "prompt_tokens": made.prompt_tokens,
        "completion_tokens": made.completion_tokens,
        "seconds": round(made.seconds.mean, 1),
        "seconds_low": round(made.seconds.low, 1),
        "seconds_high": round(made.seconds.high, 1),
        "seconds_under": {name: round(seconds, 1) for name, seconds in made.under.items()},
        "binds": made.binds,
        "other_jobs": known.others,
        "seen_calls": made.seen,
        "guessed": list(made.guessed),
        "changed": list(made.changed),
        "pilot": pilot,
    }
