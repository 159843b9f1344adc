"""Part files: their names, which of them count, and how one is written so that a crash cannot tear it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from config.errors import UserError
from config.private import private_file

ENDINGS = (".parquet", ".jsonl")


class PartsError(UserError):
    """The part files cannot be written or read; nothing was removed from the stream."""


class DiskFull(PartsError):
    """There is no room for the part files: once there is, the same call works."""


class PartDamaged(PartsError):
    """One part file does not hold what was written to it; `path` is that part's."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} is damaged ({what}): put back a copy of it, or move it elsewhere to go on without its rows."
        )
        self.path = path


class StreamId(NamedTuple):
    """A stream entry's id. Ids compare as numbers: 9-0 stands before 10-0."""

    ms: int
    seq: int

    @classmethod
    def parse(cls, text: str) -> "StreamId":
        """Read "<ms>-<seq>"; raises ValueError for anything else."""
        ms, _, seq = text.partition("-")
        return cls(int(ms), int(seq))

    def __str__(self) -> str:
        return f"{self.ms}-{self.seq}"


class Part(NamedTuple):
    """One part file: it holds all rows of its kind from the stream entries `first` to `last`, both included."""

    first: StreamId
    last: StreamId
    path: Path
    size: int  # bytes


class Format(Protocol):
    """How the rows of a kind stand in its files. Each method raises OSError, and PartDamaged where it reads."""

    @property
    def ending(self) -> str:
        """Of the files that it writes; a folder may hold others, of an earlier version."""

    @property
    def small(self) -> int:
        """Bytes; parts up to this size are merged whatever their neighbours' size."""

    @property
    def largest(self) -> int:
        """Bytes; no merged part grows beyond this."""

    def write(self, path: Path, rows: Sequence[Any]) -> None:
        """Write rows to a new file."""

    def merge(self, paths: Sequence[Path], path: Path) -> None:
        """Write the rows of all these parts, in their order, to a new file."""

    def count(self, path: Path) -> int:
        """The number of rows of a part."""

    def rows(self, path: Path, skip: int) -> Iterator[dict[str, Any]]:
        """The rows of a part but for the first `skip`, few in memory at a time."""


def part_name(first: StreamId, last: StreamId, ending: str = ".jsonl") -> str:
    """The file name of the part from `first` to `last`."""
    return f"part-{first}-{last}{ending}"


def list_parts(folder: Path) -> tuple[list[Part], list[Part]]:
    """Return the parts that count, in the stream's order, and those whose range lies within another's.

    The latter are what a crash left behind after their merging into the bigger one, or after an old part was
    written again as Parquet, under the same range.
    """
    found = []
    for path in folder.glob("part-*-*-*-*.*"):
        if path.suffix in ENDINGS:
            numbers = [int(number) for number in path.stem.split("-")[1:]]
            found.append(Part(StreamId(*numbers[:2]), StreamId(*numbers[2:]), path, path.stat().st_size))
    found.sort(key=lambda part: (part.first, -part.last.ms, -part.last.seq, ENDINGS.index(part.path.suffix)))
    counting: list[Part] = []
    covered: list[Part] = []
    for part in found:
        inside = bool(counting) and part.last <= counting[-1].last
        (covered if inside else counting).append(part)
    return counting, covered


def write_part(folder: Path, first: StreamId, last: StreamId, ending: str, fill: Callable[[Path], None]) -> Part:
    """Have `fill` write a part, whole or not at all, and have it on the disk before returning.

    Raises OSError, and what `fill` raises.
    """
    target = folder / part_name(first, last, ending)
    unfinished = folder / f".{target.name}.unfinished"
    try:
        fill(private_file(unfinished))
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        size = unfinished.stat().st_size
        unfinished.replace(target)
    except (OSError, PartsError):
        with suppress(OSError):
            unfinished.unlink()
        raise
    sync_folder(folder)
    return Part(first, last, target, size)


def remove_leftovers(folder: Path) -> None:
    """Remove what a crash left: unfinished parts and parts already merged into another. Raises OSError."""
    for path in folder.glob(".part-*.unfinished"):
        path.unlink()
    for part in list_parts(folder)[1]:
        part.path.unlink()
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Have the folder's names on the disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
