"""Files and folders that hold answers, which cost money, or what belongs to them: for their owner alone."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER, FILE = 0o700, 0o600


def private_folder(path: Path) -> Path:
    """Makes a folder, and those above it that are missing, for their owner alone; one that exists stays as it is.

    Raises OSError.
    """
    if not path.exists():
        private_folder(path.parent)
        path.mkdir(FOLDER, exist_ok=True)
    return path


def private_file(path: Path) -> Path:
    """Makes an empty file for its owner alone, to be opened and written to; one that exists stays. Raises OSError."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE))
    return path
