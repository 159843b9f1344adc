"""What a message may be. Whoever reaches the broker can put anything into it, so a worker takes nothing else.

Pure: bytes in, and a sentence's middle out that says what is wrong, without the message's own text.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from kombu.utils.json import loads

from ledger.damaged import job_name
from workers.tracing import HEADER, is_trace

#: A task's message is some 900 bytes; answers to `inspect` and events are as large as what a fleet holds.
MOST_BYTES = {"task": 16 * 1024, "other": 16 * 2**20}
MOST_UNIT = 2**53

#: Headers of a task that would change when, how often or with what else it runs, and the only values they may have.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "eta": (None,), "expires": (None,), "group": (None,), "group_index": (None,), "shadow": (None,),
    "timelimit": (None, [None, None]), "retries": (None, 0), "replaced_task_nesting": (None, 0),
    "stamped_headers": (None, []), "stamps": (None, {}),
}  # fmt: skip
_TEXTS = {"lang", "task", "id", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin"}
_FLAGS = {"ignore_result", "redelivered"}
_MOST_TEXT = 500
#: A message as kombu delivers it: its envelope decoded, its body not.
Message = dict[str, Any]

_CONTROL = {"method", "arguments", "destination", "pattern", "matcher", "ticket", "reply_to"}


class Malformed(ValueError):
    """No message that a fleet sends; the text says why, as the middle of a sentence."""


def _require(true: bool, why: str) -> None:
    if not true:
        raise Malformed(why)


def read_task(raw: bytes, queue: str) -> Message:
    """A task's message in `queue`, `generate.MODEL` or `generate.MODEL:JOB`. Raises Malformed."""
    message, body = _opened(raw, MOST_BYTES["task"])
    headers = message.get("headers") or {}
    _require(headers.keys() <= _NEUTRAL.keys() | _TEXTS | _FLAGS | {HEADER}, "it has headers of no task of ours")
    _require(headers.get(HEADER) is None or is_trace(headers[HEADER]), "its trace is none")
    _require(
        all(headers.get(name) in values for name, values in _NEUTRAL.items()), "its headers ask for more than a run"
    )
    texts = [headers.get(name) for name in _TEXTS]
    _require(
        all(text is None or (isinstance(text, str) and len(text) <= _MOST_TEXT) for text in texts),
        "a header is no text",
    )
    _require(isinstance(body, list) and len(body) == 3, "its body is not arguments, options and callbacks")
    arguments, options, embedded = body
    _require(
        options == {} and isinstance(embedded, dict) and not any(embedded.values()), "it carries more than arguments"
    )
    _require(isinstance(arguments, list) and len(arguments) == 2, "its arguments are not a job and a unit")
    job, unit = arguments
    _require(isinstance(job, str) and job_name(job) is not None, "its job is no name")
    _require(type(unit) is int and 0 <= unit < MOST_UNIT, "its unit is no number of a task")
    _require(headers.get("id") == f"{job}-{unit}", "its id is not that of its arguments")
    _require(queue in (headers.get("task"), f"{headers.get('task')}:{job}"), "its task is of another queue")
    return message


def read_envelope(raw: bytes) -> Message:
    """A message that is no task: an answer to a command, or an event. Raises Malformed."""
    return _opened(raw, MOST_BYTES["other"])[0]


def read_control(raw: bytes) -> Message:
    """A command to the workers, such as `celery inspect` sends. Raises Malformed."""
    message, body = _opened(raw, MOST_BYTES["other"])
    _require(isinstance(body, dict) and body.keys() <= _CONTROL, "it is no command")
    _require(isinstance(body.get("method"), str), "it names no command")
    for name, kinds in (("arguments", dict), ("reply_to", dict), ("destination", list | str)):
        _require(body.get(name) is None or isinstance(body[name], kinds), f"its {name} cannot be read")
    return message


def _opened(raw: bytes, most: int) -> tuple[Message, Any]:
    """The message and its body, decoded."""
    message = _checked(_decoded(raw, most))
    try:
        body = base64.b64decode(message["body"], validate=True)
        return message, json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("its body is no JSON in base64") from None


def _decoded(raw: bytes, most: int) -> Any:
    _require(len(raw) <= most, f"it is longer than {most:,} bytes")
    try:
        # As kombu does, with all that its decoder does on the way; that is nothing where no object names its type.
        return loads(raw) if b"__type__" in raw or b"\\u" in raw else json.loads(raw.decode())
    except Exception:
        raise Malformed("it is no JSON") from None


def _checked(message: Any) -> Message:
    """The message, if kombu can deliver it. Raises Malformed."""
    if not isinstance(message, dict):
        raise Malformed("it is no object")
    properties: Any = message.get("properties")
    headers: Any = message.get("headers")
    _require(isinstance(properties, dict), "it has no properties")
    _require(headers is None or isinstance(headers, dict), "its headers are no table")
    _require(not (headers or {}).get("compression"), "it is compressed")
    _require(message.get("content-type") == "application/json", "it is of another type than JSON")
    _require(message.get("content-encoding") == "utf-8", "it is not in UTF-8")
    _require(properties.get("body_encoding") == "base64", "its body is not in base64")
    _require(isinstance(message.get("body"), str), "its body is no text")
    tag = properties.get("delivery_tag")
    _require(isinstance(tag, str) and 0 < len(tag) <= _MOST_TEXT, "it has no tag")
    info = properties.get("delivery_info", {})
    _require(isinstance(info, dict), "how it was sent cannot be read")
    _require(
        all(isinstance(info.get(name, ""), str) for name in ("exchange", "routing_key")), "where it was sent is no text"
    )
    priority = properties.get("priority")
    _require(priority is None or type(priority) is int, "its priority is no number")
    return message
