"""Part files: their names, which of them count, and how one is written so that a crash cannot tear it."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


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


def part_name(first: StreamId, last: StreamId) -> str:
    """The file name of the part from `first` to `last`."""
    return f"part-{first}-{last}.jsonl"


def list_parts(folder: Path) -> tuple[list[Part], list[Part]]:
    """Return the parts that count, in the stream's order, and those whose range lies within another's.

    The latter are what a crash left behind after their merging into the bigger one.
    """
    found = []
    for path in folder.glob("part-*-*-*-*.jsonl"):
        numbers = [int(number) for number in path.stem.split("-")[1:]]
        found.append(Part(StreamId(*numbers[:2]), StreamId(*numbers[2:]), path, path.stat().st_size))
    found.sort(key=lambda part: (part.first, -part.last.ms, -part.last.seq))
    counting: list[Part] = []
    covered: list[Part] = []
    for part in found:
        inside = bool(counting) and part.last <= counting[-1].last
        (covered if inside else counting).append(part)
    return counting, covered


def write_part(folder: Path, first: StreamId, last: StreamId, chunks: Iterable[bytes]) -> Part:
    """Write a part whole or not at all, and have it on the disk before returning. Raises OSError."""
    target = folder / part_name(first, last)
    unfinished = folder / f".{target.name}.unfinished"
    size = 0
    try:
        with unfinished.open("wb") as file:
            for chunk in chunks:
                size += file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except OSError:
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
