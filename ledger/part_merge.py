"""Merging small part files, so that a job of hours leaves tens of files and not tens of thousands."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ledger.part_files import Part, sync_folder, write_part

SMALL = 16 * 2**20  # bytes; parts up to this size are merged whatever their neighbours' size
LARGEST = 256 * 2**20  # bytes; no merged part grows beyond this


def worth_merging(parts: Sequence[Part]) -> list[Part]:
    """The newest parts that together make one of useful size, in the stream's order.

    A part bigger than twice all that came after it is left alone: so each row is copied a number of times that
    grows with the logarithm of the job, not with the job.
    """
    chosen: list[Part] = []
    total = 0
    for part in reversed(parts):
        if part.size > max(SMALL, 2 * total) or total + part.size > LARGEST:
            break
        chosen.insert(0, part)
        total += part.size
    return chosen


def merge(folder: Path, parts: Sequence[Part]) -> Part:
    """Replace neighbouring parts by one that covers their joint range. Raises OSError; then all stays as it was.

    The merged part is on the disk before the others go, and they do not count beside it: a crash in between
    doubles nothing.
    """
    merged = write_part(folder, parts[0].first, parts[-1].last, _blocks(parts))
    with suppress(OSError):
        for part in parts:
            part.path.unlink()
        sync_folder(folder)
    return merged


def _blocks(parts: Sequence[Part]) -> Iterator[bytes]:
    for part in parts:
        with part.path.open("rb") as file:
            while block := file.read(2**20):
                yield block
