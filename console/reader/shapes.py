"""What an output is, by its shape: a question with options, a text with gaps, quotations, a formula."""

from __future__ import annotations

import re
from typing import Any

from console.reader.blocks import Block, Choices, Formula, Gap, Gapped, Heading, Items, Option, Passage, Quote, Quotes
from console.reader.plain import label, scalar

Fields = dict[str, Any]
Shown = dict[str, list[Block]]

_BLANK = re.compile(r"_+(\d+)_+|_{3,}")
_CITED = re.compile(r"\[(\d+)\]")
_MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FEWEST_OPTIONS, _MOST_OPTIONS = 2, 10
_LONGEST_OPTION = 500  # characters
_RIGHT = re.compile(r"answer|correct|right|label|solution|risposta|corrett|giust", re.IGNORECASE)
_QUOTING = ("evidence", "quotes", "quotations", "citations", "sources", "prove", "citazioni", "fonti")
_QUOTED = ("quote", "text", "quotation", "citazione", "testo")
_NUMBERED = ("id", "number", "mark", "n", "numero")
_NAMES = ("name", "nome")
_LATEX = ("latex", "formula", "equation", "formule", "equazione", "tex")


def choices(fields: Fields) -> Shown:
    """A list of options and the field that says which is right: by its words, or by its letter."""
    for name, value in fields.items():
        if not _is_options(value):
            continue
        folded = [_folded(one) for one in value]
        for other, answer in fields.items():
            if isinstance(answer, str) and other != name and (right := _place(answer, folded, other)) is not None:
                options = (Option(_MARKS[k], one, k == right) for k, one in enumerate(value))
                return {name: [Choices(tuple(options))], other: []}
    return {}


def _is_options(value: Any) -> bool:
    return (
        isinstance(value, list)
        and _FEWEST_OPTIONS <= len(value) <= _MOST_OPTIONS
        and all(isinstance(one, str) and 0 < len(one) <= _LONGEST_OPTION for one in value)
        and len(set(value)) == len(value)
    )


def _place(answer: str, options: list[str], name: str) -> int | None:
    if _folded(answer) in options:
        return options.index(_folded(answer))
    if _RIGHT.search(name) and len(answer) == 1 and answer.upper() in _MARKS[: len(options)]:
        return _MARKS.index(answer.upper())
    return None


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def gaps(fields: Fields) -> Shown:
    """A text with blanks and the list of what fills them, in their order; a text that has them filled is left out."""
    for name, text in fields.items():
        blanks = list(_BLANK.finditer(text)) if isinstance(text, str) else []
        for other, answers in fields.items() if blanks else ():
            if not isinstance(answers, list) or len(answers) != len(blanks) or not _are_texts(answers):
                continue
            shown: Shown = {name: [Gapped(label(name), _pieces(text, blanks, answers))], other: []}
            filled = _folded("".join(p if isinstance(p, str) else p.answer for p in _pieces(text, blanks, answers)))
            for whole, value in fields.items():
                if isinstance(value, str) and whole != name and _folded(value) == filled:
                    shown[whole] = []
            return shown
    return {}


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(one, str) for one in values)


def _pieces(text: str, blanks: list[re.Match[str]], answers: list[str]) -> tuple[str | Gap, ...]:
    pieces: list[str | Gap] = []
    at = 0
    for place, (blank, answer) in enumerate(zip(blanks, answers, strict=True), 1):
        pieces += [text[at : blank.start()], Gap(blank[1] or str(place), answer)]
        at = blank.end()
    return tuple(piece for piece in (*pieces, text[at:]) if piece)


def quotations(fields: Fields) -> Shown:
    """Quotations under the numbers that a text cites them by, and lists of evidence."""
    shown: Shown = {}
    cited = {mark for text in fields.values() if isinstance(text, str) for mark in _CITED.findall(text)}
    for name, value in fields.items():
        if not isinstance(value, list) or not value:
            continue
        if name.lower() in _QUOTING and _are_texts(value):
            shown[name] = [Quotes(label(name), tuple(Quote("", one) for one in value))]
        elif cited and (quotes := _numbered(value)):
            shown[name] = [Quotes(label(name), quotes)]
    return shown


def _numbered(values: list[Any]) -> tuple[Quote, ...]:
    """A list of {number, quotation}; empty where it is anything else."""
    quotes = []
    for one in values:
        if not isinstance(one, dict) or len(one) != 2:
            return ()
        mark = next((one[key] for key in _NUMBERED if isinstance(one.get(key), int | str)), None)
        text = next((one[key] for key in _QUOTED if isinstance(one.get(key), str)), None)
        if mark is None or text is None:
            return ()
        quotes.append(Quote(scalar(mark), text))
    return tuple(quotes)


def formula(fields: Fields) -> Shown:
    """Fields that are named for a formula and hold a text, and the formula's name."""
    shown: Shown = {
        name: [Formula(label(name), value)]
        for name, value in fields.items()
        if name.lower() in _LATEX and isinstance(value, str) and value
    }
    for name in _NAMES if shown else ():
        if isinstance(fields.get(name), str):
            shown[name] = [Heading(fields[name])]
    return shown


def worked(fields: Fields) -> Shown:
    """A problem's steps, numbered, and the answer that they come to."""
    for name, value in fields.items():
        if name.lower() in ("steps", "passaggi", "passi") and isinstance(value, list) and value and _are_texts(value):
            shown: Shown = {name: [Items(label(name), tuple(value), numbered=True)]}
            answer = fields.get("answer")
            return shown | ({"answer": [Passage(answer, "answer", lead=True)]} if isinstance(answer, str) else {})
    return {}
