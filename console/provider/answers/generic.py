"""Answers to any JSON Schema, in Italian."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from console.provider.answers.patterns import matching
from console.provider.answers.prompt import Ask
from console.provider.answers.text import sentences

Schema = dict[str, Any]
_DEEPEST = 12


class Generator:
    """Makes values that satisfy a schema: objects, arrays, enums, const, anyOf, $ref, texts, numbers, booleans."""

    def __init__(self, schema: Schema, ask: Ask, rng: random.Random) -> None:
        self._root, self._ask, self._rng = schema, ask, rng

    def value(self, schema: Schema | None = None, depth: int = 0) -> Any:
        """A value for the schema, by default for the whole one."""
        schema = self._resolved(self._root if schema is None else schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._rng.choice(schema["enum"])
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return self.value(self._chosen(choices, depth), depth)
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        return self._of_kind(self._kind(kinds if isinstance(kinds, list) else [kinds], depth), schema, depth)

    def _of_kind(self, kind: str, schema: Schema, depth: int) -> Any:
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: {
                name: self.value(child, depth + 1) for name, child in schema.get("properties", {}).items()
            },
            "array": lambda: self._array(schema, depth),
            "integer": lambda: self._number(schema, whole=True),
            "number": lambda: self._number(schema, whole=False),
            "boolean": lambda: self._rng.random() < 0.5,
            "null": lambda: None,
        }
        return makers.get(kind, lambda: self._text(schema))()

    def _resolved(self, schema: Schema) -> Schema:
        seen: set[str] = set()
        while "$ref" in schema and schema["$ref"] not in seen:
            seen.add(schema["$ref"])
            target: Any = self._root
            for part in schema["$ref"].removeprefix("#").strip("/").split("/") if schema["$ref"] != "#" else []:
                target = target[part.replace("~1", "/").replace("~0", "~")]
            schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
        if "allOf" in schema:
            merged: Schema = {}
            for part in schema["allOf"]:
                merged |= self._resolved(part)
            schema = {**merged, **{name: value for name, value in schema.items() if name != "allOf"}}
        return schema

    def _kind(self, kinds: list[str], depth: int) -> str:
        full = [kind for kind in kinds if kind != "null"]
        return "null" if "null" in kinds and (depth >= _DEEPEST or not full) else self._rng.choice(full)

    def _chosen(self, choices: list[Schema], depth: int) -> Schema:
        resolved = [self._resolved(choice) for choice in choices]
        simple = [choice for choice in resolved if choice.get("type") not in ("object", "array")]
        full = [choice for choice in resolved if choice.get("type") != "null"]
        return self._rng.choice((simple if depth >= _DEEPEST else full) or resolved)

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        least = schema.get("minItems", 0 if depth >= _DEEPEST else min(2, schema.get("maxItems", 2)))
        most = max(least, min(schema.get("maxItems", least + 2), least + 2))
        wanted = least if depth >= _DEEPEST else self._rng.randint(least, most)
        leading = [self.value(child, depth + 1) for child in schema.get("prefixItems", [])]
        return leading + [self.value(schema.get("items") or {}, depth + 1) for _ in range(wanted - len(leading))]

    def _number(self, schema: Schema, *, whole: bool) -> int | float:
        step = schema.get("multipleOf", 1 if whole else 0.01)
        over, under = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        # One step inside an open end is inside whatever the end is.
        least = schema.get("minimum", over + step if over is not None else None)
        most = schema.get("maximum", under - step if under is not None else None)
        if least is None:
            least = 0 if most is None or most >= 0 else most - 100 * step
        if most is None:
            most = least + 100 * step
        low, high = math.ceil(least / step - 1e-9), math.floor(most / step + 1e-9)
        if high < low:
            return int(least) if whole else float(least)
        drawn = self._rng.randint(low, high) * step
        return int(drawn) if whole else min(max(round(drawn, 10), least), most)

    def _text(self, schema: Schema) -> str:
        if "pattern" in schema and (made := matching(schema["pattern"], self._rng)) is not None:
            return made
        if "format" in schema and (made := self._formatted(schema["format"])):
            return made
        least, most = schema.get("minLength", 0), schema.get("maxLength", 100_000)
        wanted = self._rng.randint(1, 2)
        text = " ".join(sentences(self._ask, wanted, self._rng))
        while len(text) < least:
            wanted += 2
            text = " ".join(sentences(self._ask, wanted, self._rng))
        if len(text) <= most:
            return text
        cut = text[:most].rsplit(" ", 1)[0] if most > 20 else text[:most]
        return cut.ljust(least, ".") if most else ""

    def _formatted(self, name: str) -> str:
        draw = self._rng.randint
        date = f"2026-{draw(1, 12):02}-{draw(1, 28):02}"
        time = f"{draw(0, 23):02}:{draw(0, 59):02}:00Z"
        return {
            "date": date,
            "time": time,
            "date-time": f"{date}T{time}",
            "email": f"{self._rng.choice(['giulia', 'marco', 'elena'])}.{draw(10, 99)}@example.org",
            "uri": f"https://example.org/pagina/{draw(1, 9999)}",
            "uuid": "-".join(f"{draw(0, 16**size - 1):0{size}x}" for size in (8, 4, 4, 4, 12)),
        }.get(name, "")
