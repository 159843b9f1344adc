"""From a reply to what is settled, stored and waited for."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import answer_of, recipe_of

from config.errors import RecipeError
from config.output import Invalid
from config.recipe import Recipe
from workers.client import Answer
from workers.errors import Failure, Told
from workers.records import attempt_record, example_records
from workers.verdict import Tries, Verdict, judge, poisoned, unusable

GOOD = {"question": "Chi?", "answer": "Io."}
CHAT = {"user": "{{ question }}", "assistant": "{{ answer }}"}
ITEM: dict[str, Any] = {"recipe": 0, "first": 12, "count": 1, "variables": {"subject": "storia"}}
USED = {"cost": 341_000, "prompt_tokens": 100, "completion_tokens": 50, "cached_tokens": 10, "latency": 2.5}


def judged(reply: Answer | Failure, recipe: Recipe | None = None, tries: Tries | None = None, **item: Any) -> Verdict:
    """The verdict on a reply, with noise that is the same each time."""
    return judge(reply, recipe or recipe_of(chat=CHAT), ITEM | item, tries or Tries(), random.Random(7))


def settled(verdict: Verdict) -> dict[str, Any]:
    """What the settlement says besides its defaults."""
    return verdict.settlement.model_dump(exclude_defaults=True)


def test_an_accepted_example() -> None:
    """A good answer settles its example with what it used, and is kept as fields and as a conversation."""
    verdict = judged(answer_of())
    assert settled(verdict) == USED | {"outcome": "accepted", "accepted": 1}
    assert verdict.examples == [
        {
            "index": 12,
            "outcome": "accepted",
            "output": GOOD,
            "messages": [{"role": "user", "content": "Chi?"}, {"role": "assistant", "content": "Io."}],
        }
    ]


def test_several_examples_of_one_call() -> None:
    """Examples are judged alone: the good ones are accepted, the others rejected with the answer they came in."""
    text = json.dumps({"items": [GOOD, {"question": 3}, GOOD]})
    verdict = judged(answer_of(text), count=4)
    assert settled(verdict) == USED | {"outcome": "accepted", "accepted": 2, "rejected": 2}
    assert [(one["index"], one["outcome"]) for one in verdict.examples] == [
        (12, "accepted"),
        (13, "rejected"),
        (14, "accepted"),
        (15, "rejected"),
    ]
    assert [one["raw"] for one in verdict.examples if one["outcome"] == "rejected"] == [text, text]
    assert verdict.examples[3]["detail"] == "the answer holds 3 of 4 examples."


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (answer_of("Ecco!"), "invalid", "the answer is not JSON."),
        (answer_of('{"question": "x"}'), "invalid", "the answer breaks the schema's required."),
        (answer_of('{"question', finish_reason="length"), "length", "cut at 50 tokens; raise sampling.max_tokens"),
        (answer_of("", refusal="No."), "refused", "the model refused"),
        (answer_of("", refusal="", completion_tokens=0), "refused", "the model refused"),
        (answer_of("Non", finish_reason="content_filter"), "refused", "the model refused"),
        (answer_of("", finish_reason="content_filter", completion_tokens=0), "refused", "the model refused"),
        (answer_of(""), "invalid", "the answer is not JSON."),
    ],
)
def test_a_rejected_answer(answer: Answer, reason: str, detail: str) -> None:
    """An answer that was paid for and is no good is not bought again: its example is rejected, with its cost."""
    verdict = judged(answer)
    expected = USED | {"outcome": "rejected", "reason": reason, "rejected": 1}
    expected |= {"completion_tokens": answer.completion_tokens}
    assert settled(verdict) == {name: value for name, value in expected.items() if value}
    assert [(one["index"], one["reason"], one["detail"]) for one in verdict.examples] == [(12, reason, detail)]
    assert verdict.detail == detail


@pytest.mark.parametrize("answer", [answer_of("x"), answer_of("{", finish_reason="length"), Failure(400)])
def test_all_examples_of_a_call_are_rejected(answer: Answer | Failure) -> None:
    """A call that came to nothing rejects every example it was for."""
    verdict = judged(answer, count=3)
    assert verdict.settlement.rejected == 3
    assert [one["index"] for one in verdict.examples] == [12, 13, 14]


def test_why_an_answer_is_rejected() -> None:
    """The record of a rejected example says which rule it broke and keeps what the model wrote."""
    (one,) = judged(answer_of('{"question": "x"}')).examples
    assert one["detail"] == "the answer breaks the schema's required."
    assert one["raw"] == '{"question": "x"}'
    assert judged(answer_of("", refusal="No.")).examples[0]["raw"] == "No."


def test_raw_answers_are_bounded() -> None:
    """A model that writes without end fills no stream, whether all of the answer is bad or a part."""
    endless = json.dumps({"items": [GOOD, {"question": "x" * 300_000}]})
    assert len(judged(answer_of(endless), count=2).examples[1]["raw"]) == 200_000
    assert len(judged(answer_of("x" * 300_000)).examples[0]["raw"]) == 200_000


def test_a_conversation_that_fails() -> None:
    """An example of which no conversation can be made is rejected with the reason, and its answer is kept."""
    recipe = recipe_of(chat={"user": "{{ question }}", "assistant": "{{ answer + 1 }}"})
    verdict = judged(answer_of(), recipe=recipe)
    assert (verdict.settlement.outcome, verdict.settlement.reason) == ("rejected", "invalid")
    assert verdict.examples[0]["detail"].startswith("chat: ")
    assert verdict.examples[0]["raw"] == answer_of().text


@pytest.mark.parametrize("retry_invalid", [0, 1, 3])
@pytest.mark.parametrize("answer", [answer_of("Ecco!"), answer_of("{", finish_reason="length")])
def test_buying_again(retry_invalid: int, answer: Answer) -> None:
    """A bad answer is bought again as often as the recipe says, each time with its cost, and then rejected."""
    recipe, tries = recipe_of(call={"retry_invalid": retry_invalid}), Tries()
    verdicts = [judged(answer, recipe, tries) for _ in range(retry_invalid + 1)]
    assert [one.settlement.outcome for one in verdicts] == ["again"] * retry_invalid + ["rejected"]
    assert all(one.settlement.cost == 341_000 for one in verdicts)
    assert all(one.examples == [] and one.pause == 0 for one in verdicts[:-1])
    assert (tries.failed, tries.invalid) == (0, retry_invalid)


@pytest.mark.parametrize("answer", [answer_of("", refusal="No."), answer_of("x", finish_reason="content_filter")])
def test_a_refusal_is_not_bought_again(answer: Answer) -> None:
    """A model that refuses is not asked again."""
    assert judged(answer, recipe_of(call={"retry_invalid": 3})).settlement.outcome == "rejected"


def test_an_answer_cut_short_by_us() -> None:
    """An answer cut below the recipe's max_tokens is asked for again in full; it is no try of the recipe's."""
    tries = Tries()
    cut = answer_of("{", finish_reason="length")
    again = judged(cut, tries=tries, max_tokens=70)
    assert settled(again) == USED | {"outcome": "again", "reason": "cut_short"}
    assert (tries, again.pause) == (Tries(), 0)
    assert judged(cut, tries=tries, max_tokens=900).settlement.reason == "length"


@pytest.mark.parametrize("attempts", [1, 3, 5])
@pytest.mark.parametrize(
    ("failure", "reason", "cost"),
    [
        (Failure(503), "http_503", 0),
        (Failure(transport="timeout"), "timeout", None),
        (Failure(transport="connect"), "unreachable", 0),
    ],
)
def test_failed_calls(attempts: int, failure: Failure, reason: str, cost: int | None) -> None:
    """A call that failed is tried as often as the recipe says; only one that may be billed is charged as unknown."""
    recipe, tries = recipe_of(call={"attempts": attempts}), Tries()
    verdicts = [judged(failure, recipe, tries, count=2) for _ in range(attempts)]
    assert [one.settlement.outcome for one in verdicts] == ["again"] * (attempts - 1) + ["rejected"]
    assert {one.settlement.reason for one in verdicts} == {reason}
    assert {one.settlement.cost for one in verdicts} == {cost}
    assert verdicts[-1].settlement.rejected == 2
    assert [one["detail"] for one in verdicts[-1].examples] == [f"given up after {attempts} failed calls"] * 2


def test_an_empty_answer() -> None:
    """No text, no tokens, no refusal: a model that was starting up is tried again like a failed call."""
    empty = answer_of("", completion_tokens=0, cost=0, finish_reason=None)
    tries = Tries()
    verdict = judged(empty, tries=tries)
    expected = {"outcome": "again", "reason": "empty", "prompt_tokens": 100, "cached_tokens": 10}
    assert settled(verdict) == expected
    assert tries.failed == 1
    assert verdict.pause > 0
    last = judged(empty, recipe_of(call={"attempts": 1}))
    assert (last.settlement.outcome, last.settlement.reason) == ("rejected", "empty")


def test_an_empty_answer_that_is_billed() -> None:
    """What the provider took for an empty answer is counted."""
    assert judged(answer_of("", completion_tokens=0, cost=5000)).settlement.cost == 5000


def test_a_request_that_cannot_succeed() -> None:
    """A request that the provider will not take is rejected at once, at no cost."""
    verdict = judged(Failure(400))
    assert settled(verdict) == {"outcome": "rejected", "reason": "http_400", "rejected": 1}
    assert verdict.examples[0]["detail"] == "the request is refused"
    assert verdict.examples[0]["raw"] is None


@pytest.mark.parametrize(("retry_after", "low", "high"), [(0, 0, 0.11), (10, 10, 10.7), (1e9, 300, 315.2)])
@given(seed=st.integers())
def test_a_429_is_no_try(seed: int, retry_after: float | None, low: float, high: float) -> None:
    """A 429 costs nothing, counts as no failed call and pauses the fleet for what is asked, and a little noise."""
    tries = Tries(failed=4)
    verdict = judge(Failure(429, retry_after=retry_after), recipe_of(), ITEM, tries, random.Random(seed))
    milliseconds = verdict.settlement.retry_after_ms
    assert milliseconds is not None
    assert low * 1000 <= milliseconds - 1 <= high * 1000
    assert milliseconds > 0
    assert settled(verdict) == {"outcome": "again", "reason": "rate_limited", "retry_after_ms": milliseconds}
    assert (tries, verdict.pause) == (Tries(failed=4), 0)


def test_a_429_that_does_not_say_how_long() -> None:
    """Without Retry-After the ledger decides on the pause, which alone knows how often the model was refused."""
    assert settled(judged(Failure(429))) == {"outcome": "again", "reason": "rate_limited", "retry_after_ms": 0}


@pytest.mark.parametrize("reply", [answer_of(told=Told(500, 30_000)), Failure(429, told=Told(500, 30_000))])
def test_limits_that_the_provider_names(reply: Answer | Failure) -> None:
    """Limits named with an answer or a refusal reach the ledger with its settlement."""
    settlement = judged(reply).settlement
    assert (settlement.told_rpm, settlement.told_tpm) == (500, 30_000)


@given(st.integers(1, 19), st.none() | st.floats(0, 1e9), st.integers())
def test_backoff(failed: int, retry_after: float | None, seed: int) -> None:
    """The pause doubles with each failed call up to a minute, is never under half of that, and heeds Retry-After."""
    recipe = recipe_of(call={"attempts": 20})
    failure = Failure(503, retry_after=retry_after)
    verdict = judge(failure, recipe, ITEM, Tries(failed=failed - 1), random.Random(seed))
    ceiling = min(60, 2 ** (failed - 1))
    asked = min(300, retry_after or 0)
    assert max(asked, ceiling / 2) <= verdict.pause <= max(asked, ceiling)
    assert verdict.settlement.retry_after_ms is None


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Failure(401), ("401", "key", "resume")),
        (Failure(402), ("402", "credit", "resume")),
        (Failure(403), ("403", "key", "resume")),
        (Failure(429, code="insufficient_quota"), ("quota", "credit", "resume")),
    ],
)
def test_a_job_is_stopped(failure: Failure, words: tuple[str, ...]) -> None:
    """What every call would meet stops the job with a note to the person; the example stays to be made."""
    tries = Tries()
    verdict = judged(failure, tries=tries)
    assert (verdict.settlement.outcome, verdict.settlement.stop) == ("again", "stopped")
    note = verdict.settlement.note or ""
    assert all(word in note for word in ("anthropic/claude-haiku-4.5", *words))
    assert (tries, verdict.examples, verdict.settlement.cost) == (Tries(), [], 0)


def test_credit_that_is_too_small_rejects_nothing() -> None:
    """Tried as often as any other failure, as credit may come back; then the job is stopped, and the example stays."""
    recipe, tries = recipe_of(call={"attempts": 3}), Tries()
    verdicts = [judged(Failure(402, affords=3919), recipe, tries) for _ in range(3)]
    assert [one.settlement.outcome for one in verdicts] == ["again"] * 3
    assert [one.settlement.stop for one in verdicts] == [None, None, "stopped"]
    assert [one.pause > 0 for one in verdicts] == [True, True, False]
    assert all(word in (verdicts[-1].settlement.note or "") for word in ("402", "credit", "max_tokens", "resume"))


def test_credit_that_is_too_small_once_stops_no_job() -> None:
    """It is counted by itself: among other failures it neither stops the job nor gives the example up."""
    recipe, tries = recipe_of(call={"attempts": 3}), Tries()
    small, away = Failure(402, affords=3919), Failure(503)
    verdicts = [judged(failure, recipe, tries) for failure in (away, small, away, small, away)]
    assert [one.settlement.stop for one in verdicts] == [None] * 5
    assert [one.settlement.outcome for one in verdicts] == ["again"] * 4 + ["rejected"]
    assert verdicts[-1].settlement.reason == "http_503"


def test_what_a_worker_cannot_ask_for() -> None:
    """A recipe that this worker cannot use stops the job, with the reason as its note and nothing charged."""
    verdict = unusable(RecipeError("cards", ["output: class not found."]))
    assert settled(verdict) == {
        "outcome": "again",
        "reason": "not_asked",
        "stop": "stopped",
        "note": "cards: output: class not found.",
    }


def test_poison() -> None:
    """An example that takes its workers with it is rejected without a call."""
    verdict = poisoned(ITEM | {"count": 2})
    assert settled(verdict) == {"outcome": "rejected", "reason": "poison", "rejected": 2}
    assert [one["index"] for one in verdict.examples] == [12, 13]


ATTEMPT = {
    "job", "unit", "attempt", "at", "outcome", "reason", "recipe", "model", "answered_by", "generation_id",
    "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "cost_nano_usd", "cost_source",
    "latency_seconds", "worker",
}  # fmt: skip
EXAMPLE = {
    "id", "index", "job", "recipe", "outcome", "variables", "model", "answered_by", "generation_id", "usage",
    "cost_usd", "cost_nano_usd", "cost_source", "latency_seconds", "attempts", "at",
}  # fmt: skip


def records(
    reply: Answer | Failure, recipe: Recipe | None = None, **item: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The records of an attempt and its examples."""
    recipe = recipe or recipe_of(chat=CHAT, call={"attempts": 1})
    verdict = judged(reply, recipe, **item)
    attempt = attempt_record("job-1", 3, 2, recipe, "worker-1", verdict, reply)
    return attempt, example_records(verdict, ITEM | item, attempt)


def test_records_of_an_accepted_example() -> None:
    """An attempt and its example are kept with all that was promised, and go by the same numbers."""
    attempt, (example,) = records(answer_of(cache_write_tokens=30))
    assert set(attempt) == ATTEMPT
    assert attempt | {"at": None} == {
        "job": "job-1", "unit": 3, "attempt": 2, "at": None, "outcome": "accepted", "reason": None, "recipe": "cards",
        "model": "anthropic/claude-haiku-4.5", "answered_by": "maker/model", "generation_id": "gen-1",
        "prompt_tokens": 100, "completion_tokens": 50, "cached_tokens": 10, "cache_write_tokens": 30,
        "cost_nano_usd": 341_000, "cost_source": "provider", "latency_seconds": 2.5, "worker": "worker-1",
    }  # fmt: skip
    assert set(example) == EXAMPLE | {"output", "messages"}
    assert (example["id"], example["index"], example["attempts"]) == ("job-1-000012", 12, 2)
    used = {"prompt_tokens": 100, "completion_tokens": 50, "cached_tokens": 10, "cache_write_tokens": 30}
    assert example["usage"] == used
    assert (example["cost_usd"], example["cost_nano_usd"]) == (0.000341, 341_000)
    assert (example["variables"], example["output"]) == ({"subject": "storia"}, GOOD)


@pytest.mark.parametrize(
    ("reply", "outcome", "reason", "source"),
    [
        (answer_of("x"), "rejected", "invalid", "provider"),
        (answer_of("x", cost_source="prices"), "rejected", "invalid", "prices"),
        (answer_of(cost=None, cost_source="unknown"), "accepted", None, "unknown"),
        (Failure(503, latency=1), "rejected", "http_503", "none"),
        (Failure(429), "again", "rate_limited", "none"),
        (Failure(transport="timeout"), "unknown", "timeout", "unknown"),
        (Failure(401), "again", "invalid_key", "none"),
    ],
)
def test_records_of_every_end(reply: Answer | Failure, outcome: str, reason: str | None, source: str) -> None:
    """Whatever an attempt came to, its record has the same fields; a rejected example says why."""
    attempt, examples = records(reply)
    assert set(attempt) == ATTEMPT
    assert (attempt["outcome"], attempt["reason"], attempt["cost_source"]) == (outcome, reason, source)
    assert (attempt["cost_nano_usd"] is None) == (source == "unknown")
    for example in examples:
        rest = {"output", "messages"} if example["outcome"] == "accepted" else {"reason", "detail", "raw"}
        assert set(example) == EXAMPLE | rest
    json.dumps([attempt, examples], allow_nan=False)


def test_a_record_without_a_call() -> None:
    """An attempt that made no call has a record with neither latency nor cost."""
    attempt = attempt_record("job-1", 3, 0, recipe_of(), "worker-1", poisoned(ITEM), None)
    assert set(attempt) == ATTEMPT
    assert (attempt["latency_seconds"], attempt["cost_nano_usd"], attempt["cost_source"]) == (None, 0, "none")


AMOUNT = st.integers(0, 10**12)


@given(st.integers(1, 20), AMOUNT, AMOUNT, AMOUNT, st.data())
def test_shares_sum_to_the_whole(count: int, cost: int, prompt: int, completion: int, data: st.DataObject) -> None:
    """The examples of one call bear its cost and tokens together to the last nano-dollar, none more than one apart."""
    good = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    made = [GOOD if one else {"question": 3} for one in good]
    text = json.dumps({"items": made} if count > 1 else made[0])
    reply = answer_of(text, cost=cost, prompt_tokens=prompt, completion_tokens=completion, cached_tokens=prompt)
    _, examples = records(reply, count=count)
    assert len(examples) == count
    costs = [example["cost_nano_usd"] for example in examples]
    assert sum(costs) == cost
    assert max(costs) - min(costs) <= 1
    for name, total in (("prompt_tokens", prompt), ("completion_tokens", completion), ("cached_tokens", prompt)):
        assert sum(example["usage"][name] for example in examples) == total
    assert all(round(example["cost_usd"] * 1e9) == example["cost_nano_usd"] for example in examples)


REPLY = st.one_of(
    st.builds(
        answer_of,
        text=st.sampled_from(["", "x", json.dumps(GOOD), json.dumps({"items": [GOOD]})]),
        finish_reason=st.sampled_from([None, "stop", "length", "content_filter"]),
        refusal=st.none() | st.just("No."),
        completion_tokens=st.integers(0, 2),
        cost=st.none() | st.integers(0, 5),
    ),
    st.builds(
        Failure,
        status=st.integers(200, 599),
        kind=st.sampled_from([None, "empty", "refusal", "insufficient_quota", "rate_limit_exceeded"]),
        retryable=st.none() | st.booleans(),
        retry_after=st.none() | st.floats(0, 1e9),
        transport=st.sampled_from([None, "timeout", "connect", "connection", "stopped"]),
        affords=st.none() | st.integers(1, 10_000),
    ),
)


@given(st.lists(REPLY, min_size=1, max_size=40), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_an_example_ends(replies: list[Answer | Failure], attempts: int, retry_invalid: int, count: int) -> None:
    """Whatever comes back, an example is settled after so many tries, or is paused for or stopped by all of them."""
    recipe = recipe_of(call={"attempts": attempts, "retry_invalid": retry_invalid, "items": count})
    tries, counted = Tries(), 0
    for reply in replies:
        verdict = judged(reply, recipe, tries, count=count)
        settlement = verdict.settlement
        if settlement.outcome != "again":
            assert settlement.accepted + settlement.rejected == count == len(verdict.examples)
            return
        assert verdict.examples == []
        assert 0 <= verdict.pause <= 300
        counted += settlement.retry_after_ms is None and settlement.stop is None
        assert counted < 2 * attempts + retry_invalid
        assert counted == tries.failed + tries.job_failed + tries.invalid


def test_invalid_is_not_an_example() -> None:
    """A reason why an example failed is never stored as if it were one."""
    verdict = judged(answer_of("x"), count=2)
    assert not any(isinstance(value, Invalid) for one in verdict.examples for value in one.values())
