"""JSON lines that every reader takes: UTF-8, strict JSON, one value a line."""

import json
import math
from typing import Any

from pydantic_core import from_json, to_json

_LONE = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def json_line(value: Any) -> bytes:
    """The value as one line of JSON, as `json_bytes` writes it."""
    return json_bytes(value) + b"\n"


def json_bytes(value: Any) -> bytes:
    """The value as JSON in UTF-8.

    Models write, and lenient parsers pass, two things that it cannot hold: half of a surrogate pair becomes U+FFFD, a
    number that is not finite becomes null.
    """
    try:
        return to_json(value, inf_nan_mode="null")
    except ValueError:
        # Such half pairs, or deeper nesting than that writer takes.
        text = json.dumps(_mended(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8")


def read_json(text: bytes | str) -> Any:
    """What `json.loads` gives, in half the time. Raises ValueError."""
    try:
        return from_json(text)
    except ValueError:
        # That parser refuses half of a surrogate pair, and deep nesting.
        return json.loads(text)


def whole_text(text: str) -> str:
    """The text, with U+FFFD for each half of a surrogate pair that stands alone."""
    return text.translate(_LONE)


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {whole_text(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return value
