"""Processes that end with the one that started them, however that one ended."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from config.importing import importable_folders, importable_from

_VARIABLE = "GENFLEET_PARENT"
_FOLDERS = "GENFLEET_CLASS_FOLDERS"
_EVERY_SECONDS = 1.0


def environment() -> dict[str, str]:
    """The environment for a child process that shall end with this one and find the same recipes' classes."""
    return {**os.environ, _VARIABLE: str(os.getpid()), _FOLDERS: os.pathsep.join(importable_folders())}


def find_classes() -> None:
    """Takes the classes of recipes from the folders that the process which started this one takes them from."""
    for folder in os.environ.get(_FOLDERS, "").split(os.pathsep):
        if folder:
            importable_from(Path(folder))


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
