"""Simulated conversations with calls of tools."""

from __future__ import annotations

import json
import random
from typing import Any

from console.provider.answers.prompt import Ask
from console.provider.answers.services import Exchange, Json, services

_FAREWELLS = (
    ("Perfetto, per ora basta così.", "Bene. Se serve altro per «{topic}», basta chiedere."),
    ("Grazie, mi è stato utile.", "Figurati. Per «{topic}» puoi scrivermi quando vuoi."),
)


def make(ask: Ask, rng: random.Random) -> dict[str, Any]:
    """Tools and one conversation, as the class FunctionCalling wants it."""
    topic = ask.topic or "i servizi in rete"
    about = f"{ask.label('ambito')} {topic}".lower()
    service = rng.choice([one for one in services() if any(word in about for word in one.words)] or services())
    messages: list[Json] = []
    first, second = service.exchange(rng), service.exchange(rng)
    turns = [first] if rng.random() < 0.6 or first.arguments == second.arguments else [first, second]
    for number, exchange in enumerate(turns, start=1):
        messages += _messages(exchange, f"call_{number}", first=number == 1, topic=topic)
    farewell, answer = rng.choice(_FAREWELLS)
    messages += [
        {"role": "user", "content": farewell},
        {"role": "assistant", "content": answer.format(topic=topic), "tool_calls": None},
    ]
    tools = [{**tool, "parameters": _json(tool["parameters"])} for tool in service.tools]
    rng.shuffle(tools)
    return {"tools": tools, "messages": messages}


def _messages(exchange: Exchange, call_id: str, *, first: bool, topic: str) -> list[Json]:
    function = {"name": exchange.tool, "arguments": _json(exchange.arguments)}
    opening = f"Ti scrivo per questo servizio: {topic}. " if first else "Un'altra cosa. "
    return [
        {"role": "user", "content": opening + exchange.request},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": call_id, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": call_id, "content": _json(exchange.result)},
        {"role": "assistant", "content": exchange.reply, "tool_calls": None},
    ]


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
