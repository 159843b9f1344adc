"""The checks of the built-in outputs, both ways, and the simulated answers that must pass them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from config.recipes import schemas
from config.recipes.schemas.formulas import drawable
from console.provider.answers import answer

PASSAGE = (
    "Matera è una città della Basilicata, scavata in parte nella roccia.  I Sassi, i suoi rioni più antichi,\n"
    "furono abitati senza interruzione per migliaia di anni. Nel 1952 una legge ordinò lo sgombero delle grotte,\n"
    "perché l’umidità e l’affollamento le rendevano malsane. Nel 1993 l’UNESCO iscrisse i Sassi nel Patrimonio\n"
    "dell’umanità [1], e nel 2019 la città è stata Capitale europea della cultura."
)
TABLE = json.dumps(
    {
        "type": "object",
        "properties": {"citta": {"type": "string"}, "persone": {"type": "integer", "minimum": 1}},
        "required": ["citta", "persone"],
    }
)


def turns(*contents: str) -> list[dict[str, str]]:
    """Messages with these contents, the user first."""
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


TALK = turns(
    "Perché il mare è salato?",
    "I fiumi portano al mare i sali sciolti dalle rocce.",
    "E i laghi no?",
    "I laghi hanno di solito un emissario. Che cosa cambia, secondo te?",
)


def call(call_id: str = "call_1", name: str = "prenota", arguments: str = '{"citta": "Lecce", "persone": 2}') -> Any:
    """A message of the assistant that calls one tool."""
    function = {"name": name, "arguments": arguments}
    calls = [{"id": call_id, "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def tool(parameters: Any = TABLE, name: str = "prenota") -> dict[str, str]:
    """A tool with these parameters, JSON-encoded unless they are a text."""
    encoded = parameters if isinstance(parameters, str) else json.dumps(parameters)
    return {"name": name, "description": "Prenota un tavolo in una città.", "parameters": encoded}


ASK = {"role": "user", "content": "Un tavolo per due a Lecce."}
DONE = {"role": "tool", "tool_call_id": "call_1", "content": '{"confermato": true}'}
DONE_2 = {**DONE, "tool_call_id": "call_2"}
SAID = {"role": "assistant", "content": "Il tavolo è prenotato.", "tool_calls": None}

GOOD: dict[str, dict[str, Any]] = {
    "Chat": {"messages": TALK},
    "EmotionalSupport": {
        "emotion": "tristezza",
        "strategies": ["ascolto attivo", "domanda aperta"],
        "risk": "nessuno",
        "messages": TALK,
    },
    "Rag": {
        "question": "Quando Matera fu Capitale europea della cultura?",
        "answerable": True,
        "evidence": ["nel 2019 la città è stata Capitale europea della cultura"],
        "answer": "Matera lo fu nel 2019.",
    },
    "Citations": {
        "question": "Perché i Sassi furono sgomberati?",
        "answer": "Una legge del 1952 lo impose [1], perché le grotte erano malsane [2].",
        "citations": [
            {"id": 1, "quote": "Nel 1952 una legge ordinò lo sgombero delle grotte"},
            {"id": 2, "quote": "l'umidità e l'affollamento le rendevano malsane"},
        ],
    },
    "Quiz": {
        "question": "Qual è il capoluogo del Molise?",
        "options": ["Campobasso", "Isernia", "Termoli", "Foggia"],
        "answer": "Campobasso",
        "explanation": "Campobasso è il capoluogo; Isernia è l'altra provincia del Molise.",
    },
    "Cloze": {
        "title": "Il cuore",
        "text": (
            "Il cuore ha quattro cavità: due ___1___ e due ___2___. Il sangue torna al cuore con le ___3___ e ne "
            "esce con altri vasi."
        ),
        "answers": ["atri", "ventricoli", "vene"],
        "distractors": ["arterie", "bronchi"],
        "solution": (
            "Il cuore ha quattro cavità: due atri e due ventricoli. Il sangue torna al cuore con le vene e ne "
            "esce con altri vasi."
        ),
    },
    "Reasoning": {
        "problem": "Tre quaderni costano 4,50 €. Quanto costano cinque quaderni uguali?",
        "steps": ["Un quaderno costa 4,50 € : 3 = 1,50 €.", "Cinque quaderni costano 1,50 € × 5 = 7,50 €."],
        "answer": "7,50 €",
        "check": "Due quaderni in più costano 3 €, e 4,50 € + 3 € = 7,50 €.",
    },
    "Formulas": {
        "name": "Area del cerchio",
        "latex": r"A = \pi r^{2}",
        "symbols": [
            {"symbol": "A", "meaning": "area", "unit": "m²"},
            {"symbol": "r", "meaning": "raggio", "unit": "m"},
        ],
        "explanation": "L'area cresce con il quadrato del raggio, per ogni cerchio.",
        "example": "Con r = 2 m l'area è 3,14 × (2 m)² = 12,56 m².",
    },
    "FunctionCalling": {"tools": [tool()], "messages": [ASK, call(), DONE, SAID]},
}

SAME_STEP = "Si divide per tre il costo totale."
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("Chat", {"messages": TALK[:2]}, "messages has 2 entries, not 4 to 20"),
    ("Chat", {"messages": [TALK[1], *TALK[1:]]}, 'message 1 has the role "assistant", where "user" is due'),
    ("Chat", {"messages": [*TALK, TALK[0], TALK[0]]}, 'message 6 has the role "user", where "assistant" is due'),
    ("Chat", {"messages": [*TALK, turns("E poi?")[0]]}, 'the last message, "E poi?", is the user\'s'),
    ("Chat", {"messages": [*TALK, *TALK]}, 'the message "Perché il mare è salato?" stands in the conversation twice'),
    ("Chat", {"messages": [*TALK, *turns("Ancora una cosa.", "  ")]}, 'content "" has 0 characters'),
    ("Chat", {"messages": TALK, "note": "ciao"}, "Extra inputs are not permitted"),
    ("EmotionalSupport", {"strategies": ["ascolto attivo"] * 2}, "strategies names one strategy twice: ascolto"),
    (
        "EmotionalSupport",
        {"messages": [{**t, "content": t["content"].replace("?", ".")} for t in TALK]},
        "asks nothing",
    ),
    ("EmotionalSupport", {"risk": "urgente"}, 'risk is "urgente", and the assistant names no number'),
    ("EmotionalSupport", {"strategies": ["ipnosi", "ascolto attivo"]}, "Input should be"),
    ("Rag", {"evidence": ["nel 2019 la città fu capitale europea"]}, "is not in the passage word for word"),
    ("Rag", {"evidence": ["nel 2019 la"]}, "has fewer than 4 words"),
    ("Rag", {"evidence": ["2019 la città è stata Capit"]}, "is not in the passage word for word"),
    ("Rag", {"evidence": ["nel 2019 la città è stata"] * 2}, "is given twice"),
    ("Rag", {"evidence": []}, "is given without evidence from the passage"),
    ("Rag", {"answerable": False}, "answerable is false, yet evidence quotes"),
    ("Rag", {"answerable": False, "evidence": []}, "does not say so"),
    ("Rag", {"answer": "Matera lo fu nel 2004."}, "the answer gives 2004, which neither"),
    ("Citations", {"answer": "Una legge lo impose [1], perché erano malsane [3]."}, "the answer cites [3]"),
    ("Citations", {"answer": "Una legge del 1952 lo impose [1]."}, "the answer never cites [2]"),
    ("Citations", {"answer": "Erano malsane [2] e una legge lo impose [1]."}, "cites in the order [2], [1]"),
    ("Citations", {"citations": [{"id": 2, "quote": "furono abitati senza interruzione"}]}, "numbered [2], not from 1"),
    ("Citations", {"citations": [{"id": 1, "quote": "furono abitati con qualche interruzione"}]}, "word for word"),
    ("Citations", {"citations": [{"id": 1, "quote": "grotte umide"}]}, "has fewer than 4 words"),
    ("Quiz", {"answer": "Pescara"}, 'the answer "Pescara" is not among the options'),
    ("Quiz", {"options": ["Isernia", "isernia ", "Campobasso"]}, 'the option "isernia" is given twice'),
    ("Quiz", {"options": ["10 km", "10km", "Campobasso"]}, 'the option "10km" is given twice'),
    ("Quiz", {"options": ["Campobasso", "Isernia", "Nessuna delle precedenti"]}, "speaks of the other options"),
    ("Quiz", {"options": ["Campobasso", "", "Foggia"]}, 'options "" has 0 characters'),
    ("Quiz", {"options": ["Campobasso", "Foggia"]}, "options has 2 entries, not 3 to 5"),
    ("Quiz", {"explanation": "Perché sì."}, "has 10 characters, not 20 to 2000"),
    ("Cloze", {"answers": ["atri", "ventricoli"]}, "answers has 2 entries"),
    ("Cloze", {"answers": ["atri", "ventricoli", "vene", "vasi"]}, "has 3 blanks, and there are 4 answers"),
    ("Cloze", {"answers": ["ventricoli", "atri", "vene"]}, "differs from the solution at"),
    ("Cloze", {"text": GOOD["Cloze"]["text"].replace("___2___", "___3___")}, "the blanks are numbered 1, 3, 3"),
    ("Cloze", {"text": GOOD["Cloze"]["text"].replace("___2___", "_____")}, "has a blank without a number"),
    ("Cloze", {"solution": GOOD["Cloze"]["solution"].replace("altri", "grandi")}, "differs from the solution at"),
    ("Cloze", {"distractors": ["Vene", "bronchi"]}, 'the distractor "Vene" is one of the answers'),
    ("Cloze", {"distractors": ["bronchi", "Bronchi"]}, 'the distractor "Bronchi" is given twice'),
    ("Cloze", {"answers": ["atri", "___", "vene"]}, 'the answer "___" is itself a blank'),
    ("Reasoning", {"answer": "7 €"}, 'does not state the answer "7 €"'),
    ("Reasoning", {"answer": "50 €"}, 'does not state the answer "50 €"'),
    ("Reasoning", {"steps": [SAME_STEP, SAME_STEP]}, "is given twice"),
    ("Reasoning", {"steps": ["Cinque quaderni costano 7,50 €."]}, "steps has 1 entries, not 2 to 15"),
    ("Formulas", {"latex": r"A = \pi r^{2"}, "cannot be drawn"),
    ("Formulas", {"latex": r"\begin{cases} A \end{cases}"}, r"cannot be drawn: Unknown symbol: \begin"),
    ("Formulas", {"latex": "A$ = r"}, "holds a dollar sign"),
    ("Formulas", {"symbols": [{"symbol": "h", "meaning": "altezza", "unit": "m"}]}, 'the symbol "h" is not in the'),
    ("Formulas", {"symbols": [{"symbol": "r", "meaning": "raggio", "unit": "m"}] * 2}, '"r" is explained twice'),
    (
        "FunctionCalling",
        {"messages": [ASK, call(name="cancella"), DONE, SAID]},
        '"cancella", which is not among prenota',
    ),
    (
        "FunctionCalling",
        {"messages": [ASK, call(arguments='{"citta": "Lecce"}'), DONE, SAID]},
        "'persone' is a required",
    ),
    (
        "FunctionCalling",
        {"messages": [ASK, call(arguments='{"citta": "Lecce", "persone": 0}'), DONE, SAID]},
        "0 is less than the minimum",
    ),
    (
        "FunctionCalling",
        {"messages": [ASK, call(arguments='{"citta": "Lecce", "persone": 2, "ora": "20:30"}'), DONE, SAID]},
        'gives ora, which is no parameter of "prenota"',
    ),
    ("FunctionCalling", {"messages": [ASK, call(arguments="citta=Lecce"), DONE, SAID]}, "is not JSON"),
    ("FunctionCalling", {"messages": [ASK, call(arguments="[2]"), DONE, SAID]}, "is JSON, and not an object"),
    ("FunctionCalling", {"messages": [ASK, SAID, DONE, SAID]}, "no message calls a tool"),
    ("FunctionCalling", {"messages": [ASK, call(), ASK, SAID]}, 'message 3 has the role "user", where "tool" is due'),
    ("FunctionCalling", {"messages": [ASK, call(), {**DONE, "tool_call_id": "call_9"}, SAID]}, "which is not open"),
    ("FunctionCalling", {"messages": [ASK, call(), DONE, call("call_2")]}, '"tool" is still due'),
    ("FunctionCalling", {"messages": [ASK, call(), DONE, SAID, ASK]}, '"assistant" is still due'),
    ("FunctionCalling", {"messages": [ASK, call(), DONE, call(), DONE, SAID]}, 'two calls have the id "call_1"'),
    ("FunctionCalling", {"messages": [ASK, call(), DONE, {**SAID, "content": ""}]}, "content null and tool_calls null"),
    ("FunctionCalling", {"tools": [tool(), tool()]}, 'the tool "prenota" is listed twice'),
    ("FunctionCalling", {"tools": [tool({"type": "oggetto"})]}, "is not JSON Schema"),
    ("FunctionCalling", {"tools": [tool({"type": "string"})]}, "is not an object with properties"),
    ("FunctionCalling", {"tools": [tool("{citta}")]}, "is not JSON"),
    ("FunctionCalling", {"tools": [tool({"type": "object", "properties": {"a": {"$ref": "#"}}})]}, "holds a $ref"),
    ("FunctionCalling", {"tools": [tool({"type": "object", "properties": {}, "required": ["ora"]})]}, "requires ora"),
    ("FunctionCalling", {"tools": [tool(name="Prenota-tavolo")]}, 'name "Prenota-tavolo" is not lower case'),
]


def check(kind: str, example: Any) -> BaseModel:
    """The example as the worker reads it, with the passage among its variables."""
    cls: type[BaseModel] = getattr(schemas, kind)
    text = example if isinstance(example, str) else json.dumps(example)
    return cls.model_validate_json(text, context={"variables": {"passage": PASSAGE}})


@pytest.mark.parametrize("kind", schemas.__all__)
def test_a_good_example_passes(kind: str) -> None:
    """An example without faults is accepted, and what is stored passes the same checks again."""
    accepted = check(kind, GOOD[kind])
    assert check(kind, accepted.model_dump_json()) == accepted


@pytest.mark.parametrize(("kind", "change", "reason"), BAD, ids=[f"{k}-{r[:40]}" for k, _, r in BAD])
def test_a_bad_example_is_refused_for_its_reason(kind: str, change: dict[str, Any], reason: str) -> None:
    """Each fault of an otherwise good example is refused in a sentence that names it."""
    with pytest.raises(ValidationError) as refused:
        check(kind, {**GOOD[kind], **change})
    assert reason in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("EmotionalSupport", {"risk": "urgente", "messages": [*TALK, *turns("Non ce la faccio.", "Chiama il 112.")]}),
        ("EmotionalSupport", {"risk": "urgente", "messages": [*TALK, *turns("Ho paura.", "C'è l'1.96.96, 24 ore.")]}),
        ("Rag", {"answerable": False, "evidence": [], "answer": "Il testo non riporta questa informazione."}),
        ("Rag", {"evidence": ["l'umidità e l'affollamento le rendevano malsane"]}),
        ("Rag", {"evidence": ["i suoi rioni più antichi, furono abitati senza interruzione"]}),
        ("Quiz", {"options": ["Isernia", "CAMPOBASSO", "Termoli"], "answer": "campobasso."}),
        ("Quiz", {"options": ["Campobasso", "In nessuna delle altre città molisane", "Termoli"]}),
        ("Reasoning", {"steps": ["Un quaderno costa 1,50 €.", "Perciò cinque costano **7,50 €**."]}),
        ("Formulas", {"latex": r"$A = \pi r^{2}$"}),
        ("FunctionCalling", {"messages": [ASK, {**call(), "content": ""}, DONE, {**SAID, "tool_calls": []}]}),
        ("FunctionCalling", {"messages": [ASK, call(), DONE, SAID, ASK, call("call_2"), DONE_2, SAID]}),
    ],
)
def test_what_a_teacher_would_let_pass_passes(kind: str, change: dict[str, Any]) -> None:
    """Differences that change nothing for a reader are no faults."""
    check(kind, {**GOOD[kind], **change})


def test_quotations_are_stored_in_the_characters_of_the_passage() -> None:
    """A quotation with other apostrophes is kept as the passage writes it, so that it can be found there."""
    accepted = check("Rag", {**GOOD["Rag"], "evidence": ["l'umidità e   l'affollamento le rendevano"]})
    assert isinstance(accepted, schemas.Rag)
    assert accepted.evidence == ["l’umidità e l’affollamento le rendevano"]


def test_quotations_cannot_pass_without_a_passage() -> None:
    """Where the variables hold no passage the check fails, rather than being skipped."""
    for kind in ("Rag", "Citations"):
        with pytest.raises(ValidationError, match="the variables hold no passage"):
            getattr(schemas, kind).model_validate(GOOD[kind])


@pytest.mark.parametrize("kind", schemas.__all__)
def test_schemas_use_only_what_strict_mode_knows(kind: str) -> None:
    """Objects are closed with all properties required, and no word appears that a provider would refuse."""
    known = {"$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "items", "properties"}
    known |= {"required", "title", "type"}

    def look(node: dict[str, Any]) -> None:
        assert set(node) <= known
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
        nested = [*node.get("properties", {}).values(), *node.get("$defs", {}).values(), *node.get("anyOf", [])]
        for child in [*nested, *([node["items"]] if "items" in node else [])]:
            look(child)

    schema = getattr(schemas, kind).model_json_schema()
    assert schema["type"] == "object"
    look(schema)


@given(st.text(alphabet="abx0123 ^_{}()[]\\$&%'|=+-,.fracsqtlei", max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_text_is_either_a_formula_or_refused(text: str) -> None:
    """Whatever stands in the place of a formula, the check answers with the formula or with a ValueError."""
    try:
        assert drawable(text)
    except ValueError as error:
        assert "\n" not in str(error)


PASSAGES = (
    PASSAGE,
    "Il Po nasce dal Monviso e sfocia nell’Adriatico.",
    "La tartaruga Caretta caretta depone le uova sulle spiagge sabbiose, di notte, tra giugno e agosto [3]; le femmine "
    "tornano spesso nel luogo in cui sono nate. Un nido contiene circa 110 uova; i piccoli escono dopo 50-70 giorni. "
    "La temperatura della sabbia decide il sesso: sopra i 29 gradi nascono soprattutto femmine.",
    "Neve. Freddo. Buio presto. Poi, a marzo, la valle si sveglia: tornano le rondini, si aprono i balconi, i bambini "
    "corrono di nuovo tra i cortili e per qualche settimana nessuno parla d'altro che del sole che scalda i muri "
    "e asciuga le strade del paese vecchio fino alla piazza del mercato",
    "«Chi va piano», diceva il nonno, «va sano e va lontano»… ma lui correva sempre.",
)
TOPICS = (
    "Materia: storia\nArgomento: la Rivoluzione francese\nSpazi: 6\nLunghezza: 4 scambi, cioè 8 messaggi",
    "Materia: fisica\nArgomento: gas perfetti\nAmbientazione: un condominio",
    "Chi scrive: un uomo di 70 anni\nSituazione: è rimasto vedovo\nGravità: pericolo, rischio urgente",
    "Ambito: denaro\nServizio: cambio di valuta",
    "Spiegami le [stelle] di neutroni_e i buchi neri {adesso} con $x$",
    "",
)


@pytest.mark.parametrize("kind", schemas.__all__)
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), passage=st.sampled_from(PASSAGES), topic=st.sampled_from(TOPICS))
def test_simulated_answers_pass_the_checks(kind: str, seed: int, passage: str, topic: str) -> None:
    """Whatever the seed, a simulated answer passes its class; the same seed gives the same answer."""
    cls: type[BaseModel] = getattr(schemas, kind)
    content = [{"type": "text", "text": f"<passaggio>\n{passage}\n</passaggio>\n\n{topic}"}]
    messages = [{"role": "system", "content": "Scrivi in italiano."}, {"role": "user", "content": content}]
    text = answer(kind, cls.model_json_schema(), messages, random.Random(seed))
    cls.model_validate_json(text, context={"variables": {"passage": passage}})
    assert text == answer(kind, cls.model_json_schema(), messages, random.Random(seed))
