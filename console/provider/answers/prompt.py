"""What a request asks for, as far as a simulated answer needs to know."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_LABEL = re.compile(r"^([A-ZÀ-Ú][^:\n]{1,50}): (.+)$", re.MULTILINE)
# The passage may itself hold such a line: the outermost pair counts.
_PASSAGE = re.compile(r"<passaggio>\n?(.*)\n?</passaggio>", re.DOTALL)
_LONGEST_TOPIC = 90


@dataclass(frozen=True)
class Ask:
    """One request.

    Attributes:
        text: the last message of the user.
        labels: its lines of the form "Materia: storia", by lower-case label.
        passage: what stands between its <passaggio> tags, or "".
    """

    text: str
    labels: dict[str, str] = field(default_factory=dict)
    passage: str = ""

    def label(self, *names: str) -> str:
        """The value of the first of these labels that the request has, or ""."""
        return next((self.labels[name] for name in names if name in self.labels), "")

    @property
    def topic(self) -> str:
        """What the request is about, in a few words; "" where it does not say."""
        named = self.label("argomento", "tema", "topic", "servizio", "situazione", "materia")
        first = next((line for line in self.text.splitlines() if line.strip()), "")
        # An underscore would be taken for a blank, a bracket for a citation's mark.
        clean = " ".join(re.sub(r"[_\[\]<>{}$«»]", " ", named or first).split())
        return clean if len(clean) <= _LONGEST_TOPIC else clean[:_LONGEST_TOPIC].rsplit(" ", 1)[0]

    def number(self, *names: str, default: int, most: int) -> int:
        """The first number in the first of these labels that the request has, held to 1 … `most`."""
        found = re.search(r"\d+", self.label(*names))
        return max(1, min(most, int(found[0]))) if found else default


def read(messages: list[dict[str, Any]]) -> Ask:
    """The request in a list of chat messages, whose contents are texts or lists of parts."""
    said = [_text(message.get("content")) for message in messages if message.get("role") == "user"]
    text = said[-1] if said else ""
    passage = _PASSAGE.search(text)
    asked = _PASSAGE.sub("", text)
    labels = {label.lower(): value.strip() for label, value in _LABEL.findall(asked)}
    return Ask(asked.strip(), labels, passage[1].strip() if passage else "")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
