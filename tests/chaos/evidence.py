"""What a scenario shows of itself: one line when it ends, one row of the table at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from census import Census

#: The table's heads, and what a line says instead.
_COLUMNS = {
    "subm.": "submitted",
    "acc.": "accepted",
    "rej.": "rejected",
    "lost": "lost",
    "dup.": "duplicated in the dataset",
    "flight": "in flight at the fault",
    "twice": "paid twice",
    "unst.": "paid and not stored",
    "cut": "cut by the fault and named unknown",
    "bill = ledger + cut": "bill = ledger + cut",
    "extra": "beyond the undisturbed run",
}
_LEGEND = """\
subm. submitted, acc. accepted, rej. rejected, dup. twice in the dataset, flight: in flight at the fault, twice: paid
twice, unst. paid and not stored, cut: paid calls cut by the fault, each named unknown by the ledger; bill in millionths
of a dollar; extra: seconds beyond the undisturbed run, which vary with what else the machine does."""


@dataclass(frozen=True)
class Evidence:
    """A scenario's sets as counts, its money in micro-dollars as a provider bills it, and its seconds."""

    name: str
    cells: list[str]
    notes: list[str]
    held: bool

    @classmethod
    def of(cls, name: str, census: Census, extra_seconds: float | None, notes: Sequence[str]) -> Evidence:
        """The counts of a census."""
        sets = (census.ledger.submitted, census.accepted, census.rejected, census.lost, census.duplicated)
        counts = [*map(len, sets), len(census.in_flight), sum(census.paid_twice.values())]
        counts += [len(census.not_stored), census.cut_calls]
        bill, spent, cut = (f"{nano / 1000:,.0f}" for nano in (census.bill, census.ledger.spent, census.cut_cost))
        extra = "" if extra_seconds is None else f"{extra_seconds:+.0f} s"
        return cls(name, [*map(str, counts), f"{bill} = {spent} + {cut}", extra], list(notes), not census.wrong)

    def to_text(self) -> str:
        """As it goes from the process that ran the scenario to the one that shows it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Evidence:
        """What `to_text` has made."""
        return cls(**json.loads(text))

    def line(self) -> str:
        """Everything in one line."""
        cells = zip(_COLUMNS.values(), self.cells, strict=True)
        facts = [f"{name}: {cell}" if "=" in name else f"{cell} {name}" for name, cell in cells if cell]
        return (
            f"{self.name}{'' if self.held else ' (BROKEN)'}: {', '.join(facts)}{''.join(f'; {n}' for n in self.notes)}"
        )


def table(found: Sequence[Evidence]) -> str:
    """A row for each scenario."""
    rows = [["scenario", *_COLUMNS], *([one.name + ("" if one.held else " (BROKEN)"), *one.cells] for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    notes = [f"{one.name}: {note}" for one in found for note in one.notes]
    return "\n".join([*lines, "", _LEGEND, *([""] if notes else []), *notes])
