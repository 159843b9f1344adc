"""Runs Python with the arguments that follow in the network namespace that the first one names: /proc/PID/ns/net."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWNET = 0x40000000


def main() -> None:
    """Becomes that program."""
    with Path(sys.argv[1]).open("rb") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"{sys.argv[1]} cannot be entered")
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])


main()
