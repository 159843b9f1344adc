"""JSON Schema for strict mode: brought into the form that providers enforce, and checked for what they cannot."""

from __future__ import annotations

import copy
from typing import Any

#: What providers refuse or ignore in strict mode, from OpenAI's and OpenRouter's structured output guides.
_NOT_ENFORCED = (
    "patternProperties", "oneOf", "allOf", "not", "if", "dependentSchemas", "dependentRequired",
    "unevaluatedProperties",
)  # fmt: skip


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as strict mode wants it: every object closed, all its properties required, no defaults."""
    closed = copy.deepcopy(schema)
    for _, node in _nodes(closed, ""):
        if "properties" in node:
            node["additionalProperties"] = False
            node["required"] = list(node["properties"])
        node.pop("default", None)
    return closed


def not_enforced(schema: dict[str, Any]) -> list[str]:
    """What a provider cannot enforce in this schema, a sentence each, with the place."""
    problems = []
    if schema.get("type") != "object":
        problems.append("[output]: the outermost schema must be an object.")
    known = {f"#/$defs/{name}" for name in schema.get("$defs", {})}
    for place, node in _nodes(schema, "output"):
        problems += [f"{place}: providers cannot enforce {word}." for word in _NOT_ENFORCED if word in node]
        if "object" in _types(node) and not node.get("properties"):
            problems.append(f"{place}: an object without named properties; send it as a string that holds JSON.")
        if node.get("additionalProperties") not in (None, False):
            problems.append(f"{place}: additionalProperties must be false.")
        if "$ref" in node and node["$ref"] not in known:
            problems.append(f'{place}: "{node["$ref"]}" is not in this schema; refer to "#/$defs/NAME".')
    return problems + [f"output: {name} refers to itself." for name in _recursive(schema)]


def _types(node: dict[str, Any]) -> list[str]:
    kind = node.get("type", [])
    return kind if isinstance(kind, list) else [kind]


def _nodes(schema: Any, place: str) -> list[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, with its place; properties' names are not taken for keywords."""
    if not isinstance(schema, dict):
        return []
    found = [(place, schema)]
    for holder in ("properties", "$defs"):
        for name, child in schema.get(holder, {}).items():
            found += _nodes(child, f"{place}.{name}")
    for key in ("items", "additionalProperties"):
        found += _nodes(schema.get(key), f"{place}[]")
    for key in ("anyOf", "allOf", "oneOf", "prefixItems"):
        for child in schema.get(key, []):
            found += _nodes(child, place)
    return found


def _recursive(schema: dict[str, Any]) -> list[str]:
    uses = {
        name: {node["$ref"].rpartition("/")[2] for _, node in _nodes(child, "") if "$ref" in node}
        for name, child in schema.get("$defs", {}).items()
    }

    def reaches(start: str, goal: str, seen: frozenset[str]) -> bool:
        return any(n == goal or (n not in seen and reaches(n, goal, seen | {n})) for n in uses.get(start, ()))

    return [name for name in uses if reaches(name, name, frozenset())]
