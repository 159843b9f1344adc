"""A target: inputs of one kind, and what must hold for each of them."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).with_name("corpus")
#: Seconds for one input: none of them needs a tenth of it.
MOST_SECONDS = 10.0
#: What may go into any JSON to damage it, and what into any TOML.
JSON_PIECES = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"-1", b"NaN", b"\xff", b"\0"]
TOML_PIECES = [
    b"\n",
    b'"',
    b"'",
    b"=",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\0",
    b"\xff",
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"99999999999999999999",
    b"1979-05-27",
    b"[" * 500,
]


class Hung(Exception):
    """An input took far longer than any should."""


@dataclass(frozen=True)
class Target:
    """What is fed, and what must hold.

    Attributes:
        inputs: where inputs come from.
        hold: raises where something does not hold; an error that a person is told is no such thing.
    """

    inputs: st.SearchStrategy[Any]
    hold: Callable[[Any], None]

    def tried(self, count: int) -> int:
        """Tries so many inputs and says how many it were. Raises what the first that fails, made small, raises."""
        tried = 0

        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(self.inputs)
        def one(value: Any) -> None:
            nonlocal tried
            tried += 1
            with within(MOST_SECONDS):
                self.hold(value)

        one()
        return tried


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises Hung where it takes longer; in the main thread alone, as signals come there."""

    def hung(_number: int, _frame: FrameType | None) -> None:
        raise Hung(f"longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, hung)
    left = signal.setitimer(signal.ITIMER_REAL, seconds)[0]
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)


def corpus(kind: str) -> list[bytes]:
    """The files of a kind that are kept because they are nasty."""
    return [path.read_bytes() for path in sorted((CORPUS / kind).iterdir())]


@contextmanager
def file_of(data: bytes, name: str) -> Iterator[Path]:
    """A file of these bytes, alone in a folder that goes with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes], pieces: list[bytes]) -> bytes:
    """One of the originals with some of its bytes cut, doubled, replaced or mixed with another's."""
    data = bytearray(draw(st.sampled_from(originals)))
    piece = st.one_of(st.sampled_from(pieces), st.binary(max_size=8), st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 12))
        match draw(st.sampled_from(["cut", "insert", "replace", "double", "truncate"])):
            case "cut":
                del data[at : at + length]
            case "insert":
                data[at:at] = draw(piece)
            case "replace":
                data[at : at + length] = draw(piece)
            case "double":
                data[at:at] = data[at : at + length] * draw(st.integers(1, 50))
            case "truncate":
                del data[at:]
    return bytes(data)


#: Any JSON value, with what JSON in Python can be besides.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "\0", "\ud800", "é", "{{ 7*7 }}", "../../x", "=1+1", "1e999", "-1", "\u202e", "x" * 3000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
