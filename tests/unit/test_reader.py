"""Examples as people read them: every built-in output by its shape, and nothing lost of any other."""

from __future__ import annotations

import json
import random
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.recipes import schemas
from console.provider.answers import answer
from console.reader import as_html, readable
from console.reader.blocks import (
    Block,
    Choices,
    Code,
    Fact,
    Formula,
    Gap,
    Gapped,
    Heading,
    Items,
    Passage,
    Quotes,
    Rows,
    Tools,
    Turn,
)

PASSAGE = "Il Po nasce dal Monviso e arriva al mare. È il fiume più lungo d'Italia e misura 652 chilometri in tutto."
ASK = f"<passaggio>\n{PASSAGE}\n</passaggio>\nMateria: storia\nArgomento: la Rivoluzione francese"


def made(name: str, seed: int = 3) -> dict[str, Any]:
    """An output of a built-in class, as the simulated provider answers and the checks pass it."""
    kind = getattr(schemas, name)
    text = answer(name, kind.model_json_schema(), [{"role": "user", "content": ASK}], random.Random(seed))
    checked = kind.model_validate(json.loads(text), context={"variables": {"passage": PASSAGE}})
    output: dict[str, Any] = checked.model_dump(mode="json")
    return output


def one(blocks: list[Block], kind: type[Any]) -> Any:
    """The only block of that kind."""
    (found,) = [block for block in blocks if isinstance(block, kind)]
    return found


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def text_of(blocks: list[Block]) -> str:
    """What a page shows of the blocks; its elements are closed in order."""
    page = _Texts()
    page.feed(str(as_html(blocks)))
    page.close()
    assert not page.open
    return "".join(page.texts)


def leaves(value: Any) -> list[str]:
    """Every text in a value, the names of fields left out."""
    if isinstance(value, dict | list):
        return [leaf for child in (value.values() if isinstance(value, dict) else value) for leaf in leaves(child)]
    return [value] if isinstance(value, str) else []


def plain_text(text: str) -> str:
    """The text without white space, and without the marks that JSON in a string is written with."""
    return "".join(text.replace("\\", "").replace('"', "").split())


@pytest.mark.parametrize("name", schemas.__all__)
@pytest.mark.parametrize("seed", range(5))
def test_every_built_in_output_is_shown_whole(name: str, seed: int) -> None:
    """Of every built-in class, each text of the output can be read."""
    output = made(name, seed)
    shown = plain_text(text_of(readable(output)))
    for text in leaves(as_shown(name, output)):
        assert plain_text(text) in shown


def as_shown(name: str, output: dict[str, Any]) -> dict[str, Any]:
    """The output with those texts replaced that are shown in another form than they are stored in."""
    if name == "Cloze":
        # The gaps have their answers in them, which gives the solution.
        return {"title": output["title"], "answers": output["answers"], "distractors": output["distractors"]}
    if name == "FunctionCalling":
        for message in output["messages"]:
            for call in message.get("tool_calls") or ():
                call["type"] = ""
                call["function"]["arguments"] = list(map(str, json.loads(call["function"]["arguments"]).values()))
        for tool in output["tools"]:
            tool["parameters"] = list(json.loads(tool["parameters"])["properties"])
    return output


def test_a_quiz_shows_its_options_and_the_right_one() -> None:
    """The question leads, the options have letters, and the answer is marked and not repeated."""
    output = made("Quiz")
    blocks = readable(output)
    assert blocks[0] == Passage(output["question"], "question", lead=True)
    options = one(blocks, Choices).options
    assert [option.text for option in options] == output["options"]
    assert [option.mark for option in options] == ["A", "B", "C", "D"]
    assert [option.text for option in options if option.right] == [output["answer"]]
    assert "answer" not in [getattr(block, "label", "") for block in blocks]


@pytest.mark.parametrize(
    ("output", "right"),
    [
        ({"domanda": "Quale?", "opzioni": ["il mare", "il monte"], "risposta": "Il  mare"}, "il mare"),
        ({"q": "Which?", "choices": ["sea", "hill", "river"], "correct": "c"}, "river"),
        ({"text": "x", "alternatives": ["1", "2"], "label": "1"}, "1"),
    ],
)
def test_options_of_other_recipes_are_known_by_their_shape(output: dict[str, Any], right: str) -> None:
    """Whatever its fields are called, a list with an answer out of it is a question with options."""
    assert [option.text for option in one(readable(output), Choices).options if option.right] == [right]


@pytest.mark.parametrize(
    "output",
    [
        {"tags": ["storia", "scienze"], "title": "Uno"},
        {"options": ["a", "a"], "answer": "a"},
        {"options": ["a"], "answer": "a"},
        {"options": ["si", "no"], "mood": "B"},
        {"options": [], "answer": ""},
    ],
)
def test_a_list_without_an_answer_out_of_it_is_a_list(output: dict[str, Any]) -> None:
    """Texts that no field chooses among are no options."""
    assert not [block for block in readable(output) if isinstance(block, Choices)]


def test_a_cloze_shows_its_gaps_filled() -> None:
    """The text has its gaps with their numbers and answers, wrong words stand apart, the solution is not repeated."""
    output = made("Cloze")
    blocks = readable(output)
    assert blocks[0] == Heading(output["title"])
    pieces = one(blocks, Gapped).pieces
    assert "".join(piece if isinstance(piece, str) else piece.answer for piece in pieces) == output["solution"]
    assert one(blocks, Items) == Items("distractors", tuple(output["distractors"]), short=True)
    assert len(blocks) == 3


def test_gaps_without_numbers_are_counted() -> None:
    """Blanks of underscores alone are numbered as they come; with another number of answers they stay as they are."""
    output = {"text": "A ____ and a ____.", "words": ["cat", "dog"]}
    assert [piece for piece in one(readable(output), Gapped).pieces if isinstance(piece, Gap)] == [
        Gap("1", "cat"),
        Gap("2", "dog"),
    ]
    assert readable({"text": "A ____.", "words": []}) == [Fact("text", "A ____."), Fact("words", "none")]


@pytest.mark.parametrize("name", ["Chat", "EmotionalSupport", "FunctionCalling"])
def test_a_conversation_is_told_in_turns(name: str) -> None:
    """Every message is a turn of its role, in order."""
    output = made(name)
    turns = [block for block in readable(output) if isinstance(block, Turn)]
    assert [turn.who for turn in turns] == [message["role"] for message in output["messages"]]
    assert [turn.text for turn in turns] == [message["content"] or "" for message in output["messages"]]


def test_calls_show_their_function_and_arguments() -> None:
    """A call names its function, arguments and id, a result the call that it answers, a tool its parameters."""
    arguments = json.dumps({"citta": "Lecce", "persone": 2})
    parameters = {
        "type": "object",
        "properties": {"citta": {"type": "string"}, "persone": {"enum": [1, 2]}},
        "required": ["citta"],
    }
    output = {
        "tools": [{"name": "prenota", "description": "Prenota.", "parameters": json.dumps(parameters)}],
        "messages": [
            {"role": "user", "content": "Un tavolo."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "prenota", "arguments": arguments}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "{}"},
        ],
    }
    text = text_of(readable(output))
    assert 'prenota(citta: "Lecce", persone: 2)' in text
    assert "to call_1" in text
    tool = one(readable(output), Tools).tools[0]
    assert tool.parameters == (("citta", "string"), ("persone", "1 | 2, optional"))


def test_citations_stand_under_their_numbers() -> None:
    """Quotations have the mark that the answer cites them by; evidence has none."""
    output = made("Citations")
    quotes = one(readable(output), Quotes).quotes
    assert [(quote.mark, quote.text) for quote in quotes] == [
        (str(one["id"]), one["quote"]) for one in output["citations"]
    ]
    evidence = one(readable(made("Rag")), Quotes)
    assert all(not quote.mark for quote in evidence.quotes)


def test_a_formula_is_plain_and_its_symbols_a_table() -> None:
    """LaTeX stands as it is, and each symbol with its meaning and unit."""
    output = made("Formulas")
    blocks = readable(output)
    assert one(blocks, Formula).latex == output["latex"]
    assert one(blocks, Heading).text == output["name"]
    assert one(blocks, Rows).rows == tuple((s["symbol"], s["meaning"], s["unit"]) for s in output["symbols"])


def test_reasoning_has_numbered_steps() -> None:
    """The steps are a numbered list and the answer leads."""
    output = made("Reasoning")
    blocks = readable(output)
    assert one(blocks, Items) == Items("steps", tuple(output["steps"]), numbered=True)
    assert Passage(output["answer"], "answer", lead=True) in blocks


def test_unknown_fields_stand_under_their_names() -> None:
    """What has no shape falls back to its fields, in their order."""
    output = {"luogo_di_nascita": "Lecce", "eta": 30, "vivo": True, "nota": None, "punti": [1, [2]], "altro": {"a": 1}}
    assert readable(output) == [
        Fact("luogo di nascita", "Lecce"),
        Fact("eta", "30"),
        Fact("vivo", "yes"),
        Fact("nota", "-"),
        Code("punti", "[\n  1,\n  [\n    2\n  ]\n]"),
        Rows("altro", (), (("a", "1"),)),
    ]


def test_an_unknown_output_with_a_conversation_is_told_as_that() -> None:
    """A recipe with [chat] shows its conversation, and the fields that this leaves out."""
    output = {"tema": "mare", "domanda": "Perché?", "risposta": "Perché sì."}
    messages = [{"role": "user", "content": "Perché?"}, {"role": "assistant", "content": "Perché sì."}]
    assert readable(output, messages) == [
        Turn("user", "Perché?"),
        Turn("assistant", "Perché sì."),
        Fact("tema", "mare"),
    ]


def test_a_known_shape_is_shown_without_its_conversation() -> None:
    """Where the output tells more than the conversation, as a question with options does, it is what is shown."""
    output = made("Quiz")
    messages = [{"role": "user", "content": output["question"]}, {"role": "assistant", "content": output["answer"]}]
    assert readable(output, messages) == readable(output)


def test_markup_in_texts_is_only_text() -> None:
    """Whatever a model writes, the page shows it and does not obey it."""
    nasty = '<script>alert(1)</script><img src="http://example.org/x">'
    output = {"title": nasty, "steps": [nasty], nasty: nasty, "messages": [{"role": nasty, "content": nasty}]}
    page = str(as_html(readable(output)))
    assert "<script" not in page
    assert "<img" not in page
    assert text_of(readable(output)).count(nasty) == 6


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30)
NAMES = st.sampled_from(
    ["messages", "role", "content", "from", "value", "tool_calls", "function", "name", "arguments", "options", "answer"]
) | st.sampled_from(
    ["text", "quote", "id", "citations", "tools", "parameters", "properties", "required", "steps", "latex", "title"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | TEXTS
    | st.sampled_from(["[1] is cited", "a ___1___ b", "{}", '{"a": []}']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(output=st.dictionaries(NAMES | TEXTS, JSON, max_size=5))
def test_any_output_can_be_read(output: dict[str, Any]) -> None:
    """Whatever JSON an output is, it can be shown, and every text in it stands on the page."""
    shown = text_of(readable(output))
    gapped = any(isinstance(block, Gapped) for block in readable(output))
    for text in leaves(output):
        if not gapped:
            assert plain_text(text) in plain_text(shown)


@given(
    output=st.dictionaries(NAMES | TEXTS, JSON, max_size=4), messages=st.lists(st.dictionaries(NAMES, JSON), max_size=3)
)
def test_odd_messages_do_no_harm(output: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Messages that are no chat messages are left out, and the output is shown."""
    text_of(readable(output, messages))
