"""Conversations: who says what, which tools are called, and what they answer."""

from __future__ import annotations

import json
from typing import Any

from console.reader.blocks import Block, Tool, ToolCall, Tools, Turn
from console.reader.plain import as_json, label, scalar

_WHO = ("role", "from", "speaker")
_WHAT = ("content", "value", "text")


def conversation(fields: dict[str, Any]) -> dict[str, list[Block]]:
    """The fields that hold turns, and the tools that these may call."""
    found: dict[str, list[Block]] = {name: list(turns(value)) for name, value in fields.items() if is_talk(value)}
    if any(turn.calls for blocks in found.values() for turn in blocks if isinstance(turn, Turn)):
        found |= {name: [Tools(label(name), tools)] for name, value in fields.items() if (tools := _tools(value))}
    return found


def turns(messages: list[dict[str, Any]]) -> list[Turn]:
    """Chat messages as turns; each is a dict with a role, as OpenAI writes them, or with `from` and `value`."""
    return [_turn(message) for message in messages]


def is_talk(value: Any) -> bool:
    """Whether a value is a list of turns, one at least."""
    return isinstance(value, list) and bool(value) and all(_is_turn(one) for one in value)


def _is_turn(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and any(isinstance(value.get(who), str) for who in _WHO)
        and (any(what in value for what in _WHAT) or bool(value.get("tool_calls")))
    )


def _turn(message: dict[str, Any]) -> Turn:
    who = next(name for name in _WHO if isinstance(message.get(name), str))
    what = next((name for name in _WHAT if name in message), "")
    said, made, to = message.get(what), message.get("tool_calls"), message.get("tool_call_id")
    calls = tuple(_call(one) for one in made) if isinstance(made, list) else ()
    known = {who, what} | ({"tool_calls"} if isinstance(made, list | None) else set()) | {"tool_call_id"}
    more = {name: value for name, value in message.items() if name not in known and value is not None}
    text = "" if said is None else said if isinstance(said, str) else as_json(said)
    if more:
        text = "\n".join(part for part in (text, as_json(more)) if part)
    return Turn(message[who], text, calls, "" if to is None else scalar(to))


def _call(call: Any) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    named = function if isinstance(function, dict) else call
    if not isinstance(named, dict) or not isinstance(named.get("name"), str):
        return ToolCall("", (("", as_json(call)),))
    given = named.get("arguments")
    arguments = given if isinstance(given, dict) else _object(given)
    mark = call.get("id") if isinstance(call, dict) else None
    listed = (("", scalar(given)),) if arguments is None else tuple((k, as_json(v)) for k, v in arguments.items())
    return ToolCall(named["name"], listed, mark if isinstance(mark, str) else "")


def _tools(value: Any) -> tuple[Tool, ...]:
    if not isinstance(value, list) or not value:
        return ()
    named = [one.get("function", one) if isinstance(one, dict) else None for one in value]
    if not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in named):
        return ()
    return tuple(_tool(one) for one in named if one is not None)


def _tool(tool: dict[str, Any]) -> Tool:
    parameters = tool.get("parameters")
    schema = parameters if isinstance(parameters, dict) else _object(parameters)
    properties = (schema or {}).get("properties")
    listed: tuple[tuple[str, str], ...]
    if isinstance(properties, dict):
        needed = (schema or {}).get("required")
        listed = tuple((name, _known_of(one, name, needed)) for name, one in properties.items())
    else:
        listed = () if parameters is None else (("", scalar(parameters) if _flat(parameters) else as_json(parameters)),)
    return Tool(tool["name"], scalar(tool.get("description") or ""), listed)


def _flat(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _known_of(parameter: Any, name: str, needed: Any) -> str:
    """A parameter's type, choices and description in a line."""
    if not isinstance(parameter, dict):
        return ""
    choices, kind = parameter.get("enum"), parameter.get("type")
    said = [" | ".join(map(scalar, choices)) if isinstance(choices, list) else kind if isinstance(kind, str) else ""]
    if isinstance(needed, list) and name not in needed:
        said.append("optional")
    said.append(scalar(parameter.get("description") or ""))
    return ", ".join(part for part in said if part)


def _object(text: Any) -> dict[str, Any] | None:
    """The JSON object in a text."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
