"""A recipe's own checks, which do to the process that runs them whatever a scenario asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: The class has the name by which the provider knows the recipe's answers.
OUTPUT = 'output = "chaos_checks:small"\n'

_MODULE = """
import json, os, re, signal, time
from pathlib import Path

from pydantic import BaseModel, model_validator

_ASKED = Path(__file__).with_name("chaos_checks.json")
_held = []


class _NoException(BaseException):
    pass


def _eat():
    while True:
        _held.append(bytearray(2**20))


def _spin():
    while True:
        pass


def _deafen():
    from kombu.asynchronous import get_event_loop

    # What asks for messages is called at every turn of this loop.
    get_event_loop().on_tick.clear()


def _stand_still():
    from kombu.asynchronous import get_event_loop

    get_event_loop().call_soon(time.sleep, 3_600)


_DEEDS = {
    "no longer asks": _deafen,
    "stands still": _stand_still,
    "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "eat": _eat,
    "sleep": lambda: time.sleep(3_600),
    "spin": _spin,
    "hold the interpreter": lambda: re.match("(a+)+$", "a" * 60 + "b"),
    "exit": lambda: exit(3),
    "interrupt": lambda: _raise(KeyboardInterrupt()),
    "no exception": lambda: _raise(_NoException("perché no")),
    "recursion": lambda: _raise(RecursionError()),
    "memory": lambda: _raise(MemoryError()),
    "generator": lambda: _raise(GeneratorExit()),
    "stop": lambda: _raise(StopIteration()),
}


def _raise(error):
    raise error


class small(BaseModel):
    question: str
    answer: str

    @model_validator(mode="after")
    def _checked(self):
        asked = json.loads(_ASKED.read_text())
        if asked["pids"] is None or os.getpid() in asked["pids"]:
            if (deed := asked["deeds"].get(self.question)) is not None:
                _DEEDS[deed]()
        return self
"""


def write(folder: Path, deeds: dict[str, str] | None = None, pids: list[int] | None = None) -> None:
    """Puts the checks into a folder of recipes: what to do on which question, in these processes or in all."""
    asked: dict[str, Any] = {"deeds": deeds or {}, "pids": pids}
    file = folder / "chaos_checks.json"
    file.with_suffix(".new").write_text(json.dumps(asked))
    file.with_suffix(".new").rename(file)
    module = folder / "chaos_checks.py"
    if not module.exists():
        module.write_text(_MODULE)
