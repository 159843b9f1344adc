"""What an example is made of when a person reads it: blocks, in their order, that a page or a terminal draws."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """A field of an example, under its name as people read it."""

    label: str


@dataclass(frozen=True)
class Heading:
    """A title."""

    text: str


@dataclass(frozen=True)
class Passage:
    """A text of some length; `lead` where the example is about it, such as a question."""

    text: str
    label: str = ""
    lead: bool = False


@dataclass(frozen=True)
class Fact(Field):
    """A short value under its name."""

    text: str


@dataclass(frozen=True)
class Option:
    """One answer to choose, under its letter."""

    mark: str
    text: str
    right: bool


@dataclass(frozen=True)
class Choices:
    """Answers to choose from, the right one marked."""

    options: tuple[Option, ...]


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool; `arguments` as (name, value), in one text without a name where they are no JSON object."""

    name: str
    arguments: tuple[tuple[str, str], ...]
    id: str = ""


@dataclass(frozen=True)
class Turn:
    """What one side of a conversation says or calls; `to` is the call that it answers."""

    who: str
    text: str
    calls: tuple[ToolCall, ...] = ()
    to: str = ""


@dataclass(frozen=True)
class Gap:
    """A blank in a text; without an answer where none is known."""

    number: str
    answer: str


@dataclass(frozen=True)
class Gapped(Field):
    """A text with blanks."""

    pieces: tuple[str | Gap, ...]


@dataclass(frozen=True)
class Items(Field):
    """A list of texts; `short` ones have room on one line."""

    items: tuple[str, ...]
    numbered: bool = False
    short: bool = False


@dataclass(frozen=True)
class Quote:
    """Words from a source, under the mark that cites them, if any."""

    mark: str
    text: str


@dataclass(frozen=True)
class Quotes(Field):
    """What is quoted from a source."""

    quotes: tuple[Quote, ...]


@dataclass(frozen=True)
class Formula(Field):
    """A formula, as LaTeX."""

    latex: str


@dataclass(frozen=True)
class Rows(Field):
    """A table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Tool:
    """A function that can be called; parameters as (name, what is known of it)."""

    name: str
    description: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Tools(Field):
    """The functions of a conversation."""

    tools: tuple[Tool, ...]


@dataclass(frozen=True)
class Code(Field):
    """A value that no other block fits, as JSON."""

    text: str


Block = Heading | Passage | Fact | Choices | Turn | Gapped | Items | Quotes | Formula | Rows | Tools | Code
