"""The results of a job on disk: part files that a crash can neither tear, lose nor double.

`directory/{accepted,rejected}/part-<first>-<last>.jsonl` and `directory/attempts/part-<first>-<last>.parquet`,
named after the stream entries they cover. Attempts are rows of a fixed table, so that usage is a query over them;
examples are texts of any shape. Attempts of an earlier version, in JSON lines, count and are read as well.

The greatest `last` among a kind's parts is that kind's cursor: entries up to it are not written again. So the
caller writes, then trims the stream, and may be killed anywhere in between. A kind without rows in a batch gets
no part and its cursor stays behind; that is harmless, because the stream is trimmed only when every kind is
written: what is read again and lies beyond a cursor has either no rows of that kind or none on the disk yet.
"""

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, get_args
from uuid import uuid4

from config.private import private_file, private_folder
from ledger.attempt_files import AttemptFiles
from ledger.attempt_rows import NoAttempt, row_of
from ledger.part_files import (
    DiskFull,
    Format,
    Part,
    PartDamaged,
    PartsError,
    StreamId,
    list_parts,
    remove_leftovers,
    sync_folder,
    write_part,
)
from ledger.part_lines import Lines
from ledger.part_merge import compact
from ledger.storable import json_line, read_json

__all__ = ["KINDS", "Entry", "Kind", "Parts", "PartsBusy", "PartsError"]

Kind = Literal["accepted", "rejected", "attempts"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Entry = tuple[str, bytes, bytes]  # stream id, attempt, examples

_FORMATS: dict[Kind, Format] = {"accepted": Lines(), "rejected": Lines(), "attempts": AttemptFiles()}
_OUTCOMES: dict[str, Kind] = {"accepted": "accepted", "rejected": "rejected"}
_WRITER = "writer.lock"
_READERS = "readers.lock"


class PartsBusy(PartsError):
    """Another process writes in the folder."""


class Parts:
    """The part files of one job. Any process may read them, one at a time may write."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        #: Names the folder itself, wherever it is mounted or moved to; known once it is open for writing.
        self.identity = ""
        self._writer: IO[str] | None = None
        self._parts: dict[Kind, list[Part]] = {}
        self._counts: dict[Path, int] = {}
        self._damaged: set[Path] = set()

    def open(self) -> None:
        """Become the only writer and clear what a crash left behind; a second call does nothing.

        Raises PartsBusy when another process writes here, PartsError when the folder cannot be written.
        """
        if self._writer is not None:
            return
        with ExitStack() as undo, self._writing():
            for kind in KINDS:
                private_folder(self.directory / kind)
            private_file(self.directory / _READERS)
            writer = undo.enter_context(private_file(self.directory / _WRITER).open("a+", encoding="utf-8"))
            try:
                fcntl.flock(writer, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PartsBusy(
                    f"{self.directory} is being written by another process; stop that one or wait for it."
                ) from error
            self.identity = _identity(writer)
            for kind in KINDS:
                remove_leftovers(self.directory / kind)
                self._parts[kind] = list_parts(self.directory / kind)[0]
            sync_folder(self.directory)
            self._writer = writer
            undo.pop_all()

    @property
    def is_open(self) -> bool:
        """Whether this is the folder's one writer."""
        return self._writer is not None

    def close(self) -> None:
        """Let another process write here; a second call does nothing."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def write(self, entries: Sequence[Entry]) -> int:
        """Store stream entries, given in the stream's order, and return the number of new examples.

        They are on the disk when it returns. Entries stored before are passed over. Raises PartsError; some
        kinds may be stored then and others not, and the same entries can be given again.
        """
        self.open()
        ids = [StreamId.parse(entry[0]) for entry in entries]
        rows: dict[Kind, list[Any]] = {kind: [] for kind in KINDS}
        for stream_id, entry in zip(ids, entries, strict=True):
            wanting = [kind for kind in KINDS if stream_id > self._cursor(kind)]
            for kind, row in _rows(entry) if wanting else ():
                if kind in wanting:
                    rows[kind].append(row)
        for kind, form in _FORMATS.items():
            if rows[kind]:
                first = next(stream_id for stream_id in ids if stream_id > self._cursor(kind))
                with self._writing():
                    fill = partial(form.write, rows=rows[kind])
                    part = write_part(self.directory / kind, first, ids[-1], form.ending, fill)
                self._parts[kind].append(part)
                self._counts[part.path] = len(rows[kind])
        return len(rows["accepted"]) + len(rows["rejected"])

    def compact(self, least: int = 16) -> int:
        """Merge the newest parts of a kind once `least` of them are worth it; return how many went.

        Merging is a convenience: it is put off while someone reads, or when the disk refuses, and a part that is
        damaged stays as it is, for who reads it next to be told.
        """
        self.open()
        gone = 0
        with suppress(OSError), (self.directory / _READERS).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for kind, parts in self._parts.items():
                try:
                    gone += compact(self.directory / kind, parts, _FORMATS[kind], least, self._damaged)
                except PartDamaged as error:
                    self._damaged.add(error.path)
        return gone

    def count(self, kind: Kind) -> int:
        """The number of rows of a kind. Raises PartsError."""
        with self.reading(kind) as paths, self._reading():
            return sum(self._count(kind, path) for path in paths)

    def iterate(self, kind: Kind, skip: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the rows of a kind in the stream's order but for the first `skip`, few in memory at a time.

        The order never changes and new rows come last: who has seen n rows goes on with skip=n. Raises PartsError.
        """
        with self.reading(kind) as paths, self._reading():
            for path in paths:
                if skip and skip >= (count := self._count(kind, path)):
                    skip -= count
                    continue
                yield from _FORMATS[kind].rows(path, skip)
                skip = 0

    @contextmanager
    def reading(self, kind: Kind) -> Iterator[list[Path]]:
        """Give the paths of a kind's parts in the stream's order; none of them goes away meanwhile."""
        with ExitStack() as stack:
            with self._reading():
                # Without the file no one has ever merged here, and a reader writes nothing.
                with suppress(FileNotFoundError):
                    lock = stack.enter_context((self.directory / _READERS).open("rb"))
                    fcntl.flock(lock, fcntl.LOCK_SH)
                paths = [part.path for part in list_parts(self.directory / kind)[0]]
            yield paths

    def _cursor(self, kind: Kind) -> StreamId:
        parts = self._parts[kind]
        return parts[-1].last if parts else StreamId(0, 0)

    def _count(self, kind: Kind, path: Path) -> int:
        if path not in self._counts:
            self._counts[path] = _FORMATS[kind].count(path)
        return self._counts[path]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else PartsError
            then = "collecting goes on when there is room" if kind is DiskFull else "so mend that and collect again"
            raise kind(
                f"{error.filename or self.directory} cannot be written ({error.strerror}): "
                f"nothing was taken off the queue, {then}."
            ) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PartsError(f"{error.filename or self.directory} cannot be read ({error.strerror}).") from error


def _identity(writer: IO[str]) -> str:
    writer.seek(0)
    identity = writer.read()
    if not identity:
        identity = uuid4().hex
        writer.write(identity)
        writer.flush()
        os.fsync(writer.fileno())
    return identity


def _rows(entry: Entry) -> Iterator[tuple[Kind, Any]]:
    stream_id, attempt, listed = entry
    try:
        examples = [(_OUTCOMES[example["outcome"]], example) for example in read_json(listed)]
        kinds = [kind for kind, _ in examples]
        # Counted here and not where the record is made: an attempt whose examples another one had settled has none.
        numbers = {"accepted": kinds.count("accepted"), "rejected": kinds.count("rejected")}
        yield "attempts", row_of(read_json(attempt) | numbers)
        for kind, example in examples:
            yield kind, json_line(example)
    except (ValueError, KeyError, TypeError) as error:
        what = str(error) if isinstance(error, NoAttempt) else type(error).__name__
        raise PartsError(
            f"Stream entry {stream_id} is not a result ({what}): nothing was taken off the queue; "
            "are all workers of the same version?"
        ) from error
