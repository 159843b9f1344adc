"""Settlements of paid answers that Redis could not take yet, on the worker's disk, so that none is ever lost."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from config.logs import log
from config.private import private_file, private_folder


class Journal:
    """One file per worker process, locked while the process lives; removed when all in it is settled."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._folder = folder
        self._path = folder / f"{worker}.jsonl"
        self._file: IO[str] | None = None
        self._open: set[str] = set()

    def write(self, token: str, settlement: dict[str, Any]) -> None:
        """Puts a settlement on disk, for good, before it is tried again. Raises OSError where the disk refuses."""
        if token in self._open:
            return
        if self._file is None:
            # It gets its name once it is locked, so that nobody takes it for that of a dead worker.
            unnamed = private_file(private_folder(self._folder) / self._path.with_suffix(".new").name)
            self._file = unnamed.open("a", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(self._path)
        self._file.write(json.dumps({"token": token, **settlement}, ensure_ascii=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._open.add(token)

    def holds(self, settlement: Any) -> bool:
        """Whether this process's own file has it, as far as that can be told of something that may be no settlement."""
        return isinstance(settlement, dict) and str(settlement.get("token")) in self._open

    def done(self, token: str) -> None:
        """The settlement has reached the ledger; the file goes once nothing in it is open."""
        self._open.discard(token)
        if self._file is not None and not self._open:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def set_aside(self, settlement: Any, why: str) -> None:
        """Keeps what cannot be settled in a file of its own, and says so. Raises OSError."""
        path = private_file(private_folder(self._folder) / f"{self._path.stem}.unsettled")
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(settlement, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        log("answer_set_aside", path=path, why=why)

    def left_behind(self) -> Iterator[dict[str, Any]]:
        """The settlements in the files of dead workers on this machine; each file goes after its last one.

        A settlement that had reached the ledger before its worker died is given too: settling twice changes nothing.
        """
        for path in sorted(self._folder.glob("*.jsonl")) if self._folder.is_dir() else []:
            with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                for line in file:
                    # The last line may be half written, even half a letter: its call is charged as unknown.
                    with contextlib.suppress(ValueError):
                        yield json.loads(line)
                path.unlink(missing_ok=True)
