"""Processes that end with the one that started them, however that one ended."""

from __future__ import annotations

import os
import signal
import threading
import time

from config.output import importable_folders

_VARIABLE = "GENFLEET_PARENT"
_EVERY_SECONDS = 1.0


def environment() -> dict[str, str]:
    """The environment for a child process that shall end with this one and find the same recipes' classes."""
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), *importable_folders()])
    return {**os.environ, _VARIABLE: str(os.getpid()), **({"PYTHONPATH": path} if path else {})}


def end_with_parent() -> None:
    """Stops this process, as SIGTERM does, once the process that named itself its parent is gone."""
    parent = os.environ.get(_VARIABLE)
    if parent is not None and parent == str(os.getppid()):
        threading.Thread(target=_watch, args=(int(parent),), name="parent", daemon=True).start()


def orphaned() -> bool:
    """Whether this process has outlived the one that started it and named itself its parent."""
    parent = os.environ.get(_VARIABLE)
    return parent is not None and parent != str(os.getppid())


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_EVERY_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
