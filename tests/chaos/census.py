"""What a run came to, from three sources that know nothing of each other: the ledger, the part files, the provider.

The sets are those of Jepsen's total-queue checker, and the money beside them. Examples are named by their number.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from console.provider.audit import Call
from ledger import keys


@dataclass(frozen=True)
class Ledger:
    """What Redis says. Money in nano-dollars."""

    state: str
    submitted: set[int]
    todo: set[int]
    rejected: set[int]
    leased: set[int]
    accepted_count: int
    rejected_count: int
    spent: int
    unknown: int
    unknown_each: list[int]

    @classmethod
    def read(cls, redis: Any, job: str) -> Ledger:
        """The job as it stands."""
        fields = {name.decode(): value.decode() for name, value in redis.hgetall(keys.job(job)).items()}
        parts = {part: redis.hkeys(keys.job(job, part)) for part in ("todo", "rejected", "leases")}
        todo, rejected, leased = ({int(unit) for unit in units} for units in parts.values())
        return cls(
            state=fields["state"],
            submitted=set(range(int(fields["cursor"]))),
            todo=todo,
            rejected=rejected,
            leased=leased,
            accepted_count=int(fields.get("accepted", 0)),
            rejected_count=int(fields.get("rejected", 0)),
            spent=int(fields.get("spent", 0)),
            unknown=int(fields.get("unknown", 0)),
            unknown_each=[int(value.split()[0]) for value in redis.hvals(keys.job(job, "unknown"))],
        )


@dataclass(frozen=True)
class Disk:
    """What the part files hold, read without the product's own reader."""

    accepted: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    attempts: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> Disk:
        """Every row of every file; nobody writes there any more, so that each file counts."""
        return cls(_lines(folder / "accepted"), _lines(folder / "rejected"), _rows(folder / "attempts"))


@dataclass(frozen=True)
class Census:
    """The sets at the end of a run; `cut` are paid calls whose answer the fleet never stored."""

    ledger: Ledger
    disk: Disk
    expected: set[int]
    accepted: set[int]
    rejected: set[int]
    lost: set[int]
    duplicated: set[int]
    unexpected: set[int]
    mixed: set[int]
    in_flight: set[int]
    paid_calls: int
    paid_twice: dict[int, int]
    """Examples that were paid for more than once, and how many calls too many."""
    cut: set[int]
    cut_calls: int
    not_stored: list[Call]
    """Paid, not stored, and not named as unknown by the ledger either."""
    bill: int
    stored: int
    cut_cost: int
    forgotten: bool
    """Whether the ledger was lost on the way, and with it the names of what was cut then."""

    @property
    def wrong(self) -> list[str]:
        """What of the promises does not hold, a sentence each."""
        ledger, found = self.ledger, []

        def must(holds: bool, what: str) -> None:
            if not holds:
                found.append(what)

        must(ledger.state == "complete", f"the job is {ledger.state}, not complete")
        must(ledger.submitted == self.expected, f"submitted {len(ledger.submitted)} of {len(self.expected)}")
        must(not ledger.todo and not ledger.leased, f"{len(ledger.todo)} on the list, {len(ledger.leased)} leased")
        must(not self.lost, f"lost: {_shown(self.lost)}")
        must(not self.duplicated, f"in the dataset twice: {_shown(self.duplicated)}")
        must(not self.unexpected, f"never submitted: {_shown(self.unexpected)}")
        must(not self.mixed, f"holds another example's answer: {_shown(self.mixed)}")
        must(self.rejected == ledger.rejected, f"rejected on disk {self.rejected}, in the ledger {ledger.rejected}")
        counts = (len(self.accepted), len(self.rejected))
        said = (ledger.accepted_count, ledger.rejected_count)
        must(counts == said, f"accepted and rejected on disk {counts}, in the ledger {said}")
        must(not self.not_stored, f"paid and neither stored nor named: {[call.id for call in self.not_stored][:5]}")
        outside = set(self.paid_twice) - self.in_flight
        must(not outside, f"paid twice, not in flight at the fault: {_shown(outside)}")
        must(self.cut <= self.in_flight, f"paid and cut, not in flight: {_shown(self.cut - self.in_flight)}")
        must(self.stored == ledger.spent, f"records cost {self.stored}, the ledger says {ledger.spent}")
        must(self.bill == ledger.spent + self.cut_cost, f"bill {self.bill}, ledger {ledger.spent}, cut {self.cut_cost}")
        must(ledger.unknown == sum(ledger.unknown_each), f"unknown {ledger.unknown}, named {ledger.unknown_each}")
        if not self.forgotten:
            named = len(ledger.unknown_each)
            must(self.cut_calls <= named, f"{self.cut_calls} cut, {named} named")
            must(ledger.unknown >= self.cut_cost, f"unknown {ledger.unknown} is less than was cut, {self.cut_cost}")
        return found


def take(
    ledger: Ledger,
    disk: Disk,
    calls: Iterable[Call],
    expected: set[int],
    in_flight: set[int],
    digest: Callable[[dict[str, Any]], str],
    *,
    forgotten: bool = False,
) -> Census:
    """Puts the three sources side by side.

    Args:
        digest: what the provider calls the question for an example with these variables.
        forgotten: the ledger was lost on the way, so what was in flight then is not named by it.
    """
    rows = disk.accepted + disk.rejected
    seen = Counter(int(row["index"]) for row in rows)
    accepted = {int(row["index"]) for row in disk.accepted}
    rejected = {int(row["index"]) for row in disk.rejected}
    unit_of = {digest(row["variables"]): int(row["index"]) for row in rows}
    paid = [call for call in calls if call.cost_nano_usd]
    times = Counter(unit_of.get(call.digest or "", -1) for call in paid)
    records = {row["generation_id"]: row for row in disk.attempts if row["generation_id"]}
    unstored = [call for call in paid if call.id not in records]
    named = Counter(int(row["unit"]) for row in disk.attempts if row["outcome"] == "unknown")
    not_stored = []
    for call in unstored:
        unit = unit_of.get(call.digest or "", -1)
        if named[unit]:
            named[unit] -= 1
        elif not (forgotten and unit in in_flight):
            not_stored.append(call)
    return Census(
        ledger=ledger,
        disk=disk,
        expected=expected,
        accepted=accepted,
        rejected=rejected,
        lost=expected - accepted - rejected,
        duplicated={index for index, count in seen.items() if count > 1},
        unexpected=set(seen) - expected,
        mixed={int(row["index"]) for row in disk.accepted if not _its_own(row)},
        in_flight=in_flight,
        paid_calls=len(paid),
        paid_twice={unit: count - 1 for unit, count in times.items() if count > 1},
        cut={unit_of.get(call.digest or "", -1) for call in unstored},
        cut_calls=len(unstored),
        not_stored=not_stored,
        bill=sum(call.cost_nano_usd for call in paid),
        stored=sum(row["cost_nano_usd"] or 0 for row in disk.attempts),
        cut_cost=sum(call.cost_nano_usd for call in unstored),
        forgotten=forgotten,
    )


def _its_own(row: dict[str, Any]) -> bool:
    """Whether an answer answers its own question: the provider repeats what it was asked."""
    variables = row["variables"]
    return bool(row["output"]["question"] == f"{variables['numero']} {variables['tema']}")


def _lines(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.glob("part-*.jsonl")) if folder.is_dir() else []
    return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def _rows(folder: Path) -> list[dict[str, Any]]:
    paths = [str(path) for path in sorted(folder.glob("part-*.parquet"))] if folder.is_dir() else []
    if not paths:
        return []
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM read_parquet(?)", [paths])
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _shown(numbers: set[int]) -> str:
    most = sorted(numbers)[:8]
    return f"{len(numbers)} ({', '.join(map(str, most))}{', …' if len(numbers) > len(most) else ''})"
