"""What was collected of a job, as far as its producer must know it: the ledger's books once more, from the files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ledger.jobs import Spec
from ledger.part_files import StreamId
from ledger.parts import KINDS, Parts
from ledger.restored import Books
from ledger.todo import Item
from producers.plan import SubmitError

_ACCEPTED, _REJECTED = 1, 2
_GIVEN_UP = 500  # characters of a reason: the ledger takes it for a word


@dataclass
class Collected:
    """The examples and attempts of a job that stand in part files.

    Attributes:
        last: the last of the ledger's entries among them.
        unknown: by task, how many of its calls may have been billed although no answer came.
    """

    books: Books
    last: StreamId
    unknown: Counter[int] = field(default_factory=Counter)
    _made: bytearray = field(default_factory=bytearray)
    _reasons: dict[int, str] = field(default_factory=dict)

    def has(self, item: Item) -> bool:
        """Whether the task is settled. All its examples were settled in one step, so one tells of all."""
        return any(self._made[item.first : item.first + item.count])

    def reason(self, item: Item) -> str | None:
        """Why all of the task was rejected; None where some of it was accepted, or it is not settled."""
        found = self._made[item.first : item.first + item.count]
        return self._reasons.get(item.first) if found and all(one == _REJECTED for one in found) else None


def read(directory: Path, job: str, spec: Spec) -> Collected:
    """Reads a job's part files, one row in memory at a time.

    Raises:
        SubmitError: there are none, or they are another job's.
        PartsError: they cannot be read.
    """
    parts, last = Parts(directory), StreamId(0, 0)
    for kind in KINDS:
        with parts.reading(kind) as paths:
            last = max([last, *(StreamId(*map(int, path.stem.split("-")[3:5])) for path in paths)])
    if last == StreamId(0, 0):
        raise SubmitError(f"resume: {directory} holds no results; give the folder that `genfleet collect` wrote to.")
    found = Collected(Books(), last, _made=bytearray(spec.total))
    _read_examples(parts, job, found)
    _read_attempts(parts, job, found)
    return found


def _read_examples(parts: Parts, job: str, found: Collected) -> None:
    # An example that was rejected, tried again and accepted stands in both: it is accepted.
    for row in parts.iterate("accepted"):
        _of_job(row["job"], job, parts)
        found._made[row["index"]] = _ACCEPTED
    for row in parts.iterate("rejected"):
        _of_job(row["job"], job, parts)
        if found._made[row["index"]] != _ACCEPTED:
            found._made[row["index"]] = _REJECTED
            found._reasons[row["index"]] = str(row["reason"])[:_GIVEN_UP]
    books = found.books
    books.accepted, books.rejected = found._made.count(_ACCEPTED), found._made.count(_REJECTED)
    books.reasons.update(f"rejected:{reason}" for reason in found._reasons.values())


def _read_attempts(parts: Parts, job: str, found: Collected) -> None:
    books, open_ends = found.books, Counter[tuple[int, int]]()
    for row in parts.iterate("attempts"):
        _of_job(row["job"], job, parts)
        books.attempts += 1
        books.spent += row["cost_nano_usd"] or 0
        books.prompt_tokens += row["prompt_tokens"]
        books.completion_tokens += row["completion_tokens"]
        books.cached_tokens += row["cached_tokens"]
        if row["outcome"] in ("again", "unknown"):
            books.reasons[f"again:{row['reason']}"] += 1
        # An answer may have come after all, from a worker that was taken for dead.
        open_ends[row["unit"], row["attempt"]] += 1 if row["outcome"] == "unknown" else -1
    found.unknown = Counter(unit for (unit, _), count in open_ends.items() if count > 0)


def _of_job(named: str, job: str, parts: Parts) -> None:
    if named != job:
        raise SubmitError(
            f"resume: {parts.directory} holds results of job {named}, and this would be {job}: give the same recipe, "
            "rows, count, seed and model."
        )
