"""What comes over the broker: messages in queues, commands, answers to commands, and what was not acknowledged."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import strategies as st
from kombu.utils.json import loads

from fuzz.message import JOB, MALFORMED, QUEUE, good, raw
from fuzz.target import JSON, JSON_PIECES, Target, damaged
from ledger.damaged import job_name
from workers.messages import MOST_UNIT, Malformed, read_control, read_envelope, read_task
from workers.transport import Connection

ORIGINALS = [
    raw(good()),
    json.dumps([json.loads(raw(good())), "", QUEUE]).encode(),
    *(one for one, _ in MALFORMED.values()),
]
PIECES = [
    *JSON_PIECES,
    b"true",
    b"0",
    b"1e9",
    b"\\u0000",
    b'"__type__": "datetime", "__value__": "x"',
    b'"compression": "zlib"',
    b'"eta": "x"',
    b'"task": "os.system"',
    b'"body_encoding": "x"',
    b"[" * 2_000,
    b"9" * 5_000,
]
READERS = (lambda data: read_task(data, QUEUE), read_envelope, read_control)


@cache
def _channel() -> Any:
    """kombu's channel, which nobody connects."""
    channel = object.__new__(Connection().get_transport_cls().Channel)
    channel.no_ack_consumers = None
    return channel


def _delivered(message: dict[str, Any]) -> Any:
    """What kombu makes of a message that was let through."""
    channel = _channel()
    return channel.Message(message, channel=channel, accept={"application/json"})


def any_message(data: bytes) -> None:
    """A message is refused in a few words of ours, or kombu and Celery can take it, and a task is a job and a unit."""
    for read in READERS:
        try:
            found = read(data)
        except Malformed as malformed:
            assert 0 < len(str(malformed)) < 80
            continue
        assert repr(found) == repr(loads(data))
        if read is READERS[0]:
            message = _delivered(found)
            (args, kwargs, _), headers = message.payload, message.headers
            job, unit = args
            assert (kwargs, headers["task"]) == ({}, QUEUE)
            assert (headers.get("eta"), headers.get("expires")) == (None, None)
            assert job_name(job) == job
            assert 0 <= unit < MOST_UNIT
        else:
            _ = _delivered(found).payload


def any_fields(message: dict[str, Any]) -> None:
    """The same, for a message of which every field may be anything."""
    any_message(raw(message))


_PLAIN = good()
_FIELDS = st.fixed_dictionaries(
    {},
    optional={name: JSON | st.just(value) for name, value in _PLAIN.items()}
    | {
        "headers": st.fixed_dictionaries({}, optional={n: JSON | st.just(v) for n, v in _PLAIN["headers"].items()}),
        "properties": st.fixed_dictionaries(
            {}, optional={n: JSON | st.just(v) for n, v in _PLAIN["properties"].items()}
        ),
        "body": st.tuples(
            st.tuples(JSON | st.just(JOB), JSON | st.integers(0, 5)).map(list) | JSON,
            st.just({}) | JSON,
            st.just(_PLAIN["body"][2]) | JSON,
        ).map(list),
    },
)
TARGETS = {
    "messages": Target(damaged(ORIGINALS, PIECES) | st.binary(max_size=200), any_message),
    "fields of messages": Target(_FIELDS, any_fields),
}
