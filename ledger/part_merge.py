"""Merging small part files, so that a job of hours leaves tens of files and not tens of thousands."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ledger.part_files import Format, Part, sync_folder, write_part


def worth_merging(parts: Sequence[Part], small: int, largest: int) -> list[Part]:
    """The newest parts that together make one of useful size, in the stream's order.

    A part bigger than twice all that came after it, and than `small` bytes, is left alone: so each row is copied a
    number of times that grows with the logarithm of the job, not with the job. No more than `largest` bytes together.
    """
    chosen: list[Part] = []
    total = 0
    for part in reversed(parts):
        if part.size > max(small, 2 * total) or total + part.size > largest:
            break
        chosen.insert(0, part)
        total += part.size
    return chosen


def merge(folder: Path, parts: Sequence[Part], form: Format) -> Part:
    """Replace neighbouring parts by one that covers their joint range.

    The merged part is on the disk before the others go, and they do not count beside it: a crash in between
    doubles nothing. Raises OSError and PartDamaged; then all stays as it was.
    """
    paths = [part.path for part in parts]
    merged = write_part(
        folder, parts[0].first, parts[-1].last, form.ending, lambda unfinished: form.merge(paths, unfinished)
    )
    with suppress(OSError):
        for path in paths:
            path.unlink()
        sync_folder(folder)
    return merged


def compact(folder: Path, parts: list[Part], form: Format, least: int, damaged: set[Path]) -> int:
    """Merge the newest of `parts`, in the list too, once `least` of them are worth it; return how many went.

    A part of an earlier version's format is written again in today's. Parts up to the last of those in `damaged`
    stay as they are. Raises OSError and PartDamaged; the list then says what is there.
    """
    start = max((place for place, part in enumerate(parts, 1) if part.path in damaged), default=0)
    gone = 0
    for place in range(start, len(parts)):
        if parts[place].path.suffix != form.ending:
            parts[place] = merge(folder, [parts[place]], form)
            gone += 1
    chosen = worth_merging(parts[start:], form.small, form.largest)
    if len(chosen) >= max(2, least):
        parts[-len(chosen) :] = [merge(folder, chosen, form)]
        gone += len(chosen)
    return gone
