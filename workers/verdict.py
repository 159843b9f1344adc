"""From what came back of a call to what the ledger and the user are told: accepted, rejected or again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from config.errors import RecipeError, UserError
from config.output import Invalid
from config.recipe import Recipe
from ledger.leases import Settlement
from workers.client import Answer
from workers.errors import Failure, decide

_BACKOFF_SECONDS = 1.0
_BACKOFF_MOST = 60.0
_PAUSE_MOST = 300.0
_RAW_MOST = 200_000


@dataclass
class Tries:
    """What this example has been through in this worker.

    Attributes:
        failed: calls that failed.
        job_failed: calls that failed by what says nothing against the example, and concerns its whole job.
        invalid: answers that were bought in vain.
    """

    failed: int = 0
    job_failed: int = 0
    invalid: int = 0


@dataclass(frozen=True)
class Verdict:
    """One attempt's end: what to settle, the examples to store, and the seconds to wait before another attempt."""

    settlement: Settlement
    examples: list[dict[str, Any]] = field(default_factory=list)
    pause: float = 0.0
    detail: str = ""


def judge(reply: Answer | Failure, recipe: Recipe, item: dict[str, Any], tries: Tries, noise: random.Random) -> Verdict:
    """The one place that decides what an attempt came to. Pure but for `tries`, which it counts up."""
    verdict = _judged(reply, recipe, item, tries, noise)
    if reply.told is None:
        return verdict
    told = {"told_rpm": reply.told.requests_per_minute, "told_tpm": reply.told.tokens_per_minute}
    return replace(verdict, settlement=verdict.settlement.model_copy(update=told))


def _judged(
    reply: Answer | Failure, recipe: Recipe, item: dict[str, Any], tries: Tries, noise: random.Random
) -> Verdict:
    if isinstance(reply, Failure):
        return _after_failure(reply, recipe, item, tries, noise)
    if _empty(reply):
        # A model that was starting up answers nothing and costs nothing.
        empty = Failure(status=200, kind="empty", latency=reply.latency)
        return _after_failure(empty, recipe, item, tries, noise, reply)
    return _after_answer(reply, recipe, item, tries)


def _empty(answer: Answer) -> bool:
    filtered = answer.refusal is not None or answer.finish_reason == "content_filter"
    return not answer.text and answer.completion_tokens == 0 and not filtered


def _after_failure(
    failure: Failure,
    recipe: Recipe,
    item: dict[str, Any],
    tries: Tries,
    noise: random.Random,
    answer: Answer | None = None,
) -> Verdict:
    decision = decide(failure)
    reason = decision.reason if answer is None else "empty"
    cost = None if decision.charged else answer.cost if answer else 0
    used = {
        "cost": cost,
        "prompt_tokens": answer.prompt_tokens if answer else 0,
        "cached_tokens": answer.cached_tokens if answer else 0,
    }
    if decision.action == "stop":
        return _stopped(recipe, reason, **used)
    if decision.refused:
        # With a little noise, so that the fleet does not come back as one.
        milliseconds = 0
        if failure.retry_after is not None:
            wait = min(_PAUSE_MOST, failure.retry_after)
            milliseconds = int((wait + noise.uniform(0, 0.1 + 0.05 * wait)) * 1000) + 1
        return Verdict(Settlement(outcome="again", reason=reason, retry_after_ms=milliseconds, **used))
    if decision.concerns_job:
        tries.job_failed += 1
        if tries.job_failed >= recipe.call.attempts:
            return _stopped(recipe, reason, **used)
    else:
        tries.failed += 1
    if decision.action == "reject" or tries.failed >= recipe.call.attempts:
        detail = (
            f"given up after {tries.failed} failed calls" if decision.action == "again" else "the request is refused"
        )
        return _rejected(item, reason, detail, None, **used)
    ceiling = min(_BACKOFF_MOST, _BACKOFF_SECONDS * 2 ** (tries.failed + tries.job_failed - 1))
    pause = max(min(_PAUSE_MOST, failure.retry_after or 0.0), noise.uniform(ceiling / 2, ceiling))
    return Verdict(Settlement(outcome="again", reason=reason, **used), pause=pause)


def _stopped(recipe: Recipe, reason: str, **used: Any) -> Verdict:
    note = f"{recipe.model}: {_STOPS[reason]}"
    return Verdict(Settlement(outcome="again", reason=reason, stop="stopped", note=note, **used))


_STOPS = {
    "insufficient_quota": "the account has no quota left; add credit, then resume the job.",
    "invalid_key": "the provider refuses the API key (401); put a valid one into the workers' .env, then resume the "
    "job; a worker that was given the key in its environment must be started anew.",
    "payment_required": "the provider asks for payment (402); add credit, then resume the job.",
    "low_credit": "the account's credit is not enough for max_tokens of one call (402); add credit, then resume the "
    "job, or submit one with a lower MAX_TOKENS.",
    "no_endpoints": "no provider offers it with these parameters at the prices known here; look at them with "
    "`genfleet models --refresh`, or allow more in GENFLEET_MODELS, then submit the job again.",
    "forbidden": "the provider forbids the key this model (403); allow it, then resume the job.",
}


def _used(answer: Answer) -> dict[str, Any]:
    return {
        "cost": answer.cost,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "cached_tokens": answer.cached_tokens,
        "latency": answer.latency,
    }


def unchecked(answer: Answer, item: dict[str, Any]) -> Verdict:
    """The end of an example whose check never ends: another answer would meet the same check."""
    return _rejected(item, "invalid", "its check had not ended after half a minute", answer.text, **_used(answer))


def _after_answer(answer: Answer, recipe: Recipe, item: dict[str, Any], tries: Tries) -> Verdict:
    used = _used(answer)
    if answer.refusal is not None or answer.finish_reason == "content_filter":
        return _rejected(item, "refused", "the model refused", answer.refusal or answer.text, **used)
    if (
        answer.finish_reason == "length"
        and item.get("max_tokens", recipe.max_tokens_per_call) < recipe.max_tokens_per_call
    ):
        # We had asked for less than the recipe allows, and were wrong: the next attempt asks for all of it.
        return Verdict(Settlement(outcome="again", reason="cut_short", **used))
    if answer.finish_reason == "length":
        detail = f"cut at {answer.completion_tokens} tokens; raise sampling.max_tokens"
        return _bought_in_vain(recipe, item, "length", detail, answer, tries, used)
    variables, count = item["variables"], item["count"]
    read = [_made(recipe, one, variables) for one in recipe.checked_output.read(answer.text, count, variables)]
    if all(isinstance(one, Invalid) for one in read):
        first = next(one for one in read if isinstance(one, Invalid))
        return _bought_in_vain(recipe, item, "invalid", first.detail, answer, tries, used)
    examples: list[dict[str, Any]] = []
    for index, one in enumerate(read, item["first"]):
        if isinstance(one, Invalid):
            examples.append(_rejection(index, "invalid", one.detail, answer.text))
        else:
            examples.append({"index": index, "outcome": "accepted", **one})
    accepted = sum(example["outcome"] == "accepted" for example in examples)
    settlement = Settlement(outcome="accepted", accepted=accepted, rejected=count - accepted, **used)
    return Verdict(settlement, examples)


def _made(recipe: Recipe, output: dict[str, Any] | Invalid, variables: dict[str, Any]) -> dict[str, Any] | Invalid:
    if isinstance(output, Invalid):
        return output
    try:
        return {"output": output, "messages": recipe.conversation(output, variables)}
    except RecipeError as error:
        return Invalid(" ".join(error.problems))


def _rejection(index: int, reason: str, detail: str, raw: str | None) -> dict[str, Any]:
    raw = raw[:_RAW_MOST] if raw else raw
    return {"index": index, "outcome": "rejected", "reason": reason, "detail": detail, "raw": raw}


def _bought_in_vain(
    recipe: Recipe, item: dict[str, Any], reason: str, detail: str, answer: Answer, tries: Tries, used: dict[str, Any]
) -> Verdict:
    if tries.invalid < recipe.call.retry_invalid:
        tries.invalid += 1
        return Verdict(Settlement(outcome="again", reason=reason, **used), detail=detail)
    return _rejected(item, reason, detail, answer.text, **used)


def _rejected(item: dict[str, Any], reason: str, detail: str, raw: str | None, **used: Any) -> Verdict:
    examples = [_rejection(item["first"] + k, reason, detail, raw) for k in range(item["count"])]
    settlement = Settlement(outcome="rejected", reason=reason, rejected=item["count"], **used)
    return Verdict(settlement, examples, detail=detail)


def poisoned(item: dict[str, Any]) -> Verdict:
    """The end of an example whose calls took their worker with them, time and again."""
    return _rejected(item, "poison", "every worker that took it up died", None)


def unreadable(unit: int, text: str, *, leased: bool) -> Verdict:
    """The end of a task whose record on the job's list is none that a producer writes; it is kept as it stood.

    How many examples it was to make is not known: it counts as one.
    """
    # Without a lease the ledger gives up what is poison alone.
    reason = "unreadable" if leased else "poison"
    detail = "its record on the job's list cannot be read"
    settlement = Settlement(outcome="rejected", reason=reason, rejected=1)
    return Verdict(settlement, [_rejection(unit, reason, detail, text)], detail=detail)


def unusable(error: UserError) -> Verdict:
    """The end of an attempt that this worker could not even ask for: the job waits until a person has mended it."""
    return Verdict(Settlement(outcome="again", reason="not_asked", stop="stopped", note=str(error)))
