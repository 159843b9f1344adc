"""JSON lines that every reader takes: UTF-8, strict JSON, one value a line."""

import json
import math
from typing import Any

_LONE = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def json_line(value: Any) -> bytes:
    """The value as one line of JSON.

    Models write, and lenient parsers pass, two things that JSON in UTF-8 cannot hold: half of a surrogate pair
    becomes U+FFFD, a number that is not finite becomes null.
    """
    try:
        return _dump(value)
    except ValueError:
        return _dump(_mended(value))


def whole_text(text: str) -> str:
    """The text, with U+FFFD for each half of a surrogate pair that stands alone."""
    return text.translate(_LONE)


def _dump(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8") + b"\n"


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
