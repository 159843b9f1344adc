"""What an example is made of when a person reads it: blocks, in their order, that a page or a terminal draws."""

from __future__ import annotations

from dataclasses import dataclass


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
class Fact:
    """A short value under its name."""

    label: str
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
class Gapped:
    """A text with blanks."""

    label: str
    pieces: tuple[str | Gap, ...]


@dataclass(frozen=True)
class Items:
    """A list of texts; `short` ones have room on one line."""

    label: str
    items: tuple[str, ...]
    numbered: bool = False
    short: bool = False


@dataclass(frozen=True)
class Quote:
    """Words from a source, under the mark that cites them, if any."""

    mark: str
    text: str


@dataclass(frozen=True)
class Quotes:
    """What is quoted from a source."""

    label: str
    quotes: tuple[Quote, ...]


@dataclass(frozen=True)
class Formula:
    """A formula, as LaTeX."""

    label: str
    latex: str


@dataclass(frozen=True)
class Rows:
    """A table."""

    label: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Tool:
    """A function that can be called; parameters as (name, what is known of it)."""

    name: str
    description: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Tools:
    """The functions of a conversation."""

    label: str
    tools: tuple[Tool, ...]


@dataclass(frozen=True)
class Code:
    """A value that no other block fits, as JSON."""

    label: str
    text: str


Block = Heading | Passage | Fact | Choices | Turn | Gapped | Items | Quotes | Formula | Rows | Tools | Code
