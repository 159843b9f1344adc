"""A task's message as a producer sends it, to be changed into ones that no producer sends."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

MODEL = "anthropic/claude-haiku-4.5"
QUEUE = f"generate.{MODEL}"
JOB = "small-0123456789"

_EMBEDDED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def good(job: str = JOB, unit: int = 0) -> dict[str, Any]:
    """The message, its body not yet in base64: `body` is arguments, options and callbacks."""
    return {
        "body": [[job, unit], {}, copy.deepcopy(_EMBEDDED)],
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": QUEUE, "id": f"{job}-{unit}", "shadow": None, "eta": None, "expires": None,
            "group": None, "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": f"{job}-{unit}",
            "parent_id": None, "argsrepr": f"('{job}', {unit})", "kwargsrepr": "{}", "origin": "gen1@producer",
            "ignore_result": True, "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
        },
        "properties": {
            "correlation_id": f"{job}-{unit}", "reply_to": "0f", "delivery_mode": 2, "priority": 0,
            "delivery_info": {"exchange": "", "routing_key": QUEUE}, "body_encoding": "base64", "delivery_tag": "a1",
        },
    }  # fmt: skip


def raw(message: Any) -> bytes:
    """The message as it stands in the queue."""
    if isinstance(message, dict) and not isinstance(message.get("body"), str | None):
        body = json.dumps(message["body"]).encode()
        message = message | {"body": base64.b64encode(body).decode()}
    return json.dumps(message).encode()


def changed(*path: str, to: Any) -> bytes:
    """The good message with another value at that path."""
    message = good()
    place: Any = message
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return raw(message)


def without(*path: str) -> bytes:
    """The good message without what is at that path."""
    message = good()
    place: Any = message
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    return raw(message)


def body(value: Any) -> bytes:
    """The good message with another body."""
    return changed("body", to=value)


#: One of every kind of message that is none of a task, by its name, and a word of what is said of it.
MALFORMED: dict[str, tuple[bytes, str]] = {
    "bytes": (b"\xff\xfe\x00garbage", "no JSON"),
    "text": (b"hello", "no JSON"),
    "null": (b"null", "no object"),
    "a list": (b"[1, 2]", "no object"),
    "empty": (b"{}", "no properties"),
    "a date that is none": (b'{"__type__": "datetime", "__value__": "x"}', "no JSON"),
    "a decimal that is none": (b'{"__type__": "decimal", "__value__": "x"}', "no JSON"),
    "a type that is none": (b'{"__type__": "module", "__value__": "os"}', "no JSON"),
    "nested": (b"[" * 8_000, "no JSON"),
    "long": (b" " * 100_000, "longer than"),
    "an endless number": (b"9" * 10_000, "no JSON"),
    "no tag": (without("properties", "delivery_tag"), "no tag"),
    "no encoding": (without("properties", "body_encoding"), "not in base64"),
    "another encoding": (changed("properties", "body_encoding", to="rot13"), "not in base64"),
    "compressed": (changed("headers", "compression", to="application/x-gzip"), "compressed"),
    "pickled": (changed("content-type", to="application/x-python-serialize"), "another type"),
    "yaml": (changed("content-type", to="application/x-yaml"), "another type"),
    "latin": (changed("content-encoding", to="latin-1"), "UTF-8"),
    "headers in a list": (changed("headers", to=[1]), "no table"),
    "no headers": (changed("headers", to=None), "its id"),
    "no body": (without("body"), "no text"),
    "body not in base64": (changed("body", to="!!!"), "base64"),
    "body no JSON": (changed("body", to=base64.b64encode(b"x").decode()), "base64"),
    "another task": (changed("headers", "task", to="os.system"), "another queue"),
    "Celery's own task": (changed("headers", "task", to="celery.chord_unlock"), "another queue"),
    "task in a list": (changed("headers", "task", to=["a"]), "no text"),
    "a header of its own": (changed("headers", "module", to="os"), "no task of ours"),
    "later": (changed("headers", "eta", to="2999-01-01T00:00:00"), "more than a run"),
    "never": (changed("headers", "expires", to="1970-01-01T00:00:00"), "more than a run"),
    "retried": (changed("headers", "retries", to=10), "more than a run"),
    "limited": (changed("headers", "timelimit", to=[1, 1]), "more than a run"),
    "in a group": (changed("headers", "group", to="g"), "more than a run"),
    "long name": (changed("headers", "argsrepr", to="x" * 2_000), "no text"),
    "another id": (changed("headers", "id", to="x"), "its id"),
    "no arguments": (body([[], {}, {}]), "not a job and a unit"),
    "three arguments": (body([[JOB, 0, 0], {}, {}]), "not a job and a unit"),
    "arguments by name": (body([[], {"job": JOB, "unit": 0}, {}]), "more than arguments"),
    "a callback": (body([[JOB, 0], {}, {"callbacks": [{"task": "os.system", "args": ["id"]}]}]), "more than arguments"),
    "a chain": (body([[JOB, 0], {}, {"chain": [{"task": QUEUE}]}]), "more than arguments"),
    "body in a table": (body({"args": [JOB, 0]}), "not arguments, options and callbacks"),
    "job a number": (body([[1, 0], {}, {}]), "no name"),
    "job a path": (body([["../../etc", 0], {}, {}]), "no name"),
    "job of keys": (body([["a:b", 0], {}, {}]), "no name"),
    "job of nothing": (body([["", 0], {}, {}]), "no name"),
    "unit a text": (body([[JOB, "0"], {}, {}]), "no number"),
    "unit a truth": (body([[JOB, True], {}, {}]), "no number"),
    "unit below zero": (body([[JOB, -1], {}, {}]), "no number"),
    "unit beyond all": (body([[JOB, 10**30], {}, {}]), "no number"),
    "unit a part": (body([[JOB, 0.5], {}, {}]), "no number"),
}
