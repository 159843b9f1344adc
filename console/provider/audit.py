"""One line for every call, so that a fleet's own books can be checked against the provider's."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Call(NamedTuple):
    """One call that has ended.

    Attributes:
        number: counts the calls from 1 in the order of their arrival.
        id: generation id; None if the call was not admitted.
        t: arrival, which is also admission, in seconds of the monotonic clock.
        wall: arrival in seconds since 1970.
        seconds: from arrival to answer.
        status: of the HTTP answer; 499 if the caller left before it, None if the connection was reset.
        refused_by: the limit behind a 429, or "fault".
        retry_after: seconds that the answer told the caller to wait.
        debited_tokens: what the call took from the tokens per minute.
        in_flight: calls of the model in flight at arrival, this one included if it was admitted.
        billed: the call is on the bill, be it with a cost of 0.
        left: the caller left before the answer.
        digest: of what was asked, so that two calls for the same thing can be told; None if it was not admitted.
    """

    number: int
    id: str | None
    t: float
    wall: float
    seconds: float
    flavour: str
    model: str | None
    status: int | None
    fault: str | None = None
    refused_by: str | None = None
    retry_after: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    max_tokens: int | None = None
    debited_tokens: int = 0
    cost_nano_usd: int = 0
    in_flight: int = 0
    billed: bool = False
    left: bool = False
    digest: str | None = None

    def line(self) -> str:
        """The call as one line of JSON."""
        return json.dumps(self._asdict(), ensure_ascii=False, separators=(",", ":"))


class Audit:
    """The last `keep` calls in memory, and all of them in a file if there is a path."""

    def __init__(self, path: Path | None = None, keep: int = 100_000) -> None:
        self._path = path
        self._keep = keep
        self._calls: OrderedDict[str, Call] = OrderedDict()
        self._unwritten: list[Call] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, call: Call) -> None:
        """Remember one call that has ended; it reaches the file with the next `flush`."""
        self._calls[call.id or f"#{call.number}"] = call
        if len(self._calls) > self._keep:
            self._calls.popitem(last=False)
        if self._path is not None:
            self._unwritten.append(call)

    def find(self, generation_id: str) -> Call | None:
        """The call with that generation id, if it is remembered."""
        return self._calls.get(generation_id)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls.values())

    def flush(self) -> None:
        """Append to the file what it does not hold yet."""
        if self._path is None or not self._unwritten:
            return
        lines, self._unwritten = self._unwritten, []
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{call.line()}\n" for call in lines)
