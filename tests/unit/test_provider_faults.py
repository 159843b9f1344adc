"""Faults: how they are named, drawn, and what they do to a text."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.provider.composing import NOTHING, REFUSAL, Composition, compose, invalid, malformed
from console.provider.faults import NAMES, WITH_TEXT, Fault, draw, parse_faults
from console.provider.request import ChatRequest, parse, tokens_of
from console.provider.settings import ProviderSettings

SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
    "additionalProperties": False,
}


def answer(name: str, schema: dict[str, Any] | None, messages: list[dict[str, Any]], rng: random.Random) -> str:
    """An answer that satisfies SCHEMA."""
    return json.dumps({"question": f"{name}: {messages[-1]['content']}?", "answer": f"È {rng.random()}."})


def request(prompt: str = "Quanto fa due più due", **fields: Any) -> ChatRequest:
    """A request for SCHEMA."""
    body = {
        "model": "m",
        "messages": [{"role": "system", "content": "Sei un maestro."}, {"role": "user", "content": prompt}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "Quiz", "schema": SCHEMA}},
        **fields,
    }
    return parse(json.dumps(body).encode())


def said(fault: Fault | None = None, asked: ChatRequest | None = None, **settings: Any) -> Composition:
    """What the model says to a request."""
    return compose(asked or request(), fault, ProviderSettings(**settings), answer)


def test_faults_are_read_from_one_text() -> None:
    """Names and probabilities stand in one text, spaces and a last comma do no harm."""
    assert parse_faults("500=0.02, timeout = 0.5,") == {"500": 0.02, "timeout": 0.5}
    assert parse_faults("") == {}
    assert set(parse_faults(",".join(f"{name}=0.01" for name in NAMES))) == set(NAMES)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("501=0.1", '"501" is not one of 500,'),
        ("500", '"500" is not NAME=PROBABILITY'),
        ("500=often", '"often" of 500'),
        ("500=1.5", "1.5 of 500"),
        ("500=-0.1", "-0.1 of 500"),
        ("500=nan", "nan of 500"),
        ("500=0.6,reset=0.6", "add up to 1.2"),
    ],
)
def test_a_fault_that_cannot_be_drawn_is_one_sentence(text: str, part: str) -> None:
    """A wrong name, number or sum is refused by a sentence that names it, in the settings too."""
    with pytest.raises(ValueError, match=r"^faults: .*\.$") as caught:
        parse_faults(text)
    assert part in str(caught.value)
    with pytest.raises(ValueError, match="faults"):
        ProviderSettings(faults={"501": 0.1})


@given(st.integers(), st.integers(1, 10**9))
def test_luck_hangs_on_seed_and_number_alone(seed: int, number: int) -> None:
    """The same seed and number always draw the same fault and latency."""
    faults = {"500": 0.3, "length": 0.3}
    assert draw(seed, number, faults, 2.0, 0.5) == draw(seed, number, faults, 2.0, 0.5)


def test_faults_come_as_often_as_they_should() -> None:
    """Over many calls each fault has its share, and the rest have none."""
    faults = {"500": 0.2, "timeout": 0.1, "empty": 0.05}
    counts = Counter(draw(7, number, faults).fault for number in range(10_000))
    for name, probability in faults.items():
        assert counts[Fault(name)] / 10_000 == pytest.approx(probability, abs=0.015)
    assert set(counts) == {None, *map(Fault, faults)}


def test_latency_has_its_mean_whatever_its_sigma_and_the_faults() -> None:
    """The mean is the one asked for, and switching faults on changes no latency."""
    plain = [draw(1, number, {}, 2.0, 0.6).latency_seconds for number in range(10_000)]
    assert sum(plain) / len(plain) == pytest.approx(2.0, rel=0.03)
    assert [draw(1, number, {"500": 1.0}, 2.0, 0.6).latency_seconds for number in range(10_000)] == plain
    assert draw(1, 1, {}, 2.0, 0.0).latency_seconds == 2.0


def test_the_text_hangs_on_seed_and_request_alone() -> None:
    """The same request gives the same text; another seed of the provider or of the request another."""
    assert said() == said()
    assert said(seed=1).content != said(seed=2).content
    assert said(asked=request(seed=1)).content != said(asked=request(seed=2)).content
    assert said(asked=request(max_tokens=1000)) == said(asked=request(max_tokens=2000))


def test_completion_tokens_are_those_of_the_text() -> None:
    """A token for every 3.6 bytes, rounded up."""
    whole = said()
    assert whole.content is not None
    assert whole.completion_tokens == tokens_of(whole.content)
    assert whole.finish_reason == "stop"
    assert [tokens_of(text) for text in ("", "a", "abcd", "è" * 9)] == [0, 1, 2, 5]


def test_max_tokens_cuts_the_text() -> None:
    """A text longer than max_tokens is cut, counts max_tokens and says so."""
    whole, cut = said(), said(asked=request(max_tokens=5))
    assert whole.content is not None
    assert cut.content
    assert whole.content.startswith(cut.content)
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 5)
    assert tokens_of(cut.content) <= 6


def test_a_drawn_length_takes_the_place_of_the_counted_one() -> None:
    """With mean_completion_tokens the count is drawn around the mean, always the same for the same request."""
    counts = [
        said(asked=request(str(n), max_tokens=10**6), mean_completion_tokens=400).completion_tokens for n in range(1000)
    ]
    assert sum(counts) / 1000 == pytest.approx(400, rel=0.1)
    assert len(set(counts)) > 100
    cut = said(asked=request(max_tokens=10), mean_completion_tokens=4000)
    assert (cut.completion_tokens, cut.finish_reason) == (10, "length")


@pytest.mark.parametrize("fault", sorted(set(Fault) - WITH_TEXT))
def test_faults_without_a_text_say_nothing(fault: Fault) -> None:
    """No text is made for a call that gets none."""
    assert said(fault) == NOTHING


def test_each_spoilt_text_is_spoilt_in_its_own_way() -> None:
    """Refused has no content, length is cut, malformed is no JSON, invalid lacks a property."""
    whole = said().content
    assert whole is not None
    assert said(Fault.REFUSED) == Composition(None, REFUSAL, "content_filter", tokens_of(REFUSAL))

    cut = said(Fault.LENGTH)
    assert cut.finish_reason == "length"
    assert cut.content
    assert whole.startswith(cut.content)
    assert len(cut.content) < len(whole)

    broken = said(Fault.MALFORMED)
    assert broken.content
    assert broken.finish_reason == "stop"
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.content)

    wrong = said(Fault.INVALID)
    assert wrong.content is not None
    assert set(json.loads(wrong.content)) == {"answer"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_malformed_is_never_json(value: Any) -> None:
    """Whatever the text was, spoilt it cannot be read."""
    with pytest.raises(json.JSONDecodeError):
        json.loads(malformed(json.dumps(value)))


@given(json_values)
def test_invalid_is_other_json(value: Any) -> None:
    """Whatever the text was, spoilt it is JSON of another value."""
    assert json.loads(invalid(json.dumps(value))) != value


def test_invalid_breaks_one_example_of_several() -> None:
    """Of several examples in one answer the first is broken and the others are not."""
    items = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert json.loads(invalid(json.dumps({"items": items}))) == {"items": [{"b": 2}, {"a": 3, "b": 4}]}


def test_the_schema_is_found_where_lesser_models_are_told_it() -> None:
    """Without json_schema, name and schema are read from the end of the system prompt."""
    system = f"Sei un maestro.\n\nJSON Schema (Quiz_items):\n{json.dumps(SCHEMA, indent=2)}"
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Ciao"}]
    found = request(messages=messages, response_format={"type": "json_object"})
    assert (found.schema_name, found.schema) == ("Quiz_items", SCHEMA)
    plain = request(response_format=None)
    assert (plain.schema_name, plain.schema) == ("", None)


def test_prompt_tokens_count_messages_and_schema_once() -> None:
    """The texts of all messages and the schema, and four tokens for each message."""
    texts = "Sei un maestro.Ciao" + json.dumps(SCHEMA, ensure_ascii=False, separators=(",", ":"))
    assert request("Ciao").prompt_tokens == tokens_of(texts) + 8
