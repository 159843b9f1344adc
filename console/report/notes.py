"""What stands out in a report, in sentences, the weightiest first."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from config.money import NANO
from console.report.facts import Facts
from console.report.figures import percent, plural, whole
from console.report.limits_use import NAMES
from console.usage_text import money

_MANY_REJECTED = 0.05
_MANY_ALIKE = 0.02
_SURELY = 3  # examples due of a value of which there is none
_DEAR = 0.05  # of the money, for nothing


class Note(NamedTuple):
    """A sentence, and the section that tells more."""

    text: str
    section: str


def notes(facts: Facts) -> list[Note]:
    """The sentences; none where nothing stands out."""
    return [*_missing(facts), *_outcome(facts), *_limits(facts), *_money(facts), *_examples(facts)]


def _missing(facts: Facts) -> Iterator[Note]:
    status = facts.status
    if status.attempts == 0:
        yield Note("No call has ended yet, so there is nothing to draw.", "throughput")
    elif facts.uncollected:
        yield Note(
            f"{whole(facts.uncollected)} of {plural(status.attempts, 'attempt')} are not collected on this machine: "
            "what is drawn and listed below rests on the others.",
            "throughput",
        )
    if status.state == "running":
        left = status.total - status.settled
        yield Note(f"The job is still running: {plural(left, 'example')} of {whole(status.total)} to go.", "throughput")
    elif status.state != "complete":
        left = status.total - status.settled
        why = f": {status.note}" if status.note else "."
        yield Note(f"The job is not complete ({status.state}), {plural(left, 'example')} short{why}", "throughput")


def _outcome(facts: Facts) -> Iterator[Note]:
    status = facts.status
    if status.settled and not status.accepted:
        yield Note("No example was accepted.", "failures")
    elif status.settled and status.rejected / status.settled >= _MANY_REJECTED:
        worst = max(facts.failures, key=lambda failure: failure.rejected, default=None)
        most = f", most of them as {worst.reason.replace('_', ' ')}" if worst and worst.rejected else ""
        yield Note(f"{percent(status.rejected / status.settled)} of the examples were rejected{most}.", "failures")


def _limits(facts: Facts) -> Iterator[Note]:
    used = facts.limits
    if used is None or used.fullest is None:
        return
    fullest = used.fullest
    share = f"{percent(fullest.mean)} of the limit of {whole(fullest.limit)} {fullest.name}"
    if used.waited and used.waiting:
        cause, milliseconds = max(used.waited.items(), key=lambda item: item[1])
        name = NAMES.get(cause, "a pause after refusals" if cause == "pause" else cause)
        yield Note(
            f"Calls waited for {name} ({percent(milliseconds / used.waiting)} of the waiting); {share} were used.",
            "limits",
        )
    elif used.waited is not None:
        yield Note(f"No limit held calls back; {share} were used: more calls in flight would be faster.", "limits")


def _money(facts: Facts) -> Iterator[Note]:
    status, totals = facts.status, facts.seen.totals
    vain = Decimal(int(totals["rejected_cost_nano_usd"]) + int(totals["again_cost_nano_usd"])) / NANO
    whole_cost = Decimal(status.cost_nano_usd) / NANO
    if whole_cost and vain / whole_cost >= _DEAR:
        yield Note(f"{money(vain)} of {money(whole_cost)} went for answers that gave no example.", "cost")
    if status.unknown_usd:
        yield Note(
            f"{money(Decimal(str(status.unknown_usd)))} more is reserved for calls whose cost was never told.", "cost"
        )


def _examples(facts: Facts) -> Iterator[Note]:
    several = len(facts.coverage) > 1
    missing = [
        f"{axis.name.replace('_', ' ')} “{_cut(cell.name)}”" + (f" in {one.recipe}" if several else "")
        for one in facts.coverage
        for axis in one.axes
        for cell in axis.values
        if cell.state == "missing" and cell.due >= _SURELY
    ]
    thin = sum(cell.state == "thin" for one in facts.coverage for axis in one.axes for cell in axis.values)
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        yield Note(f"No example has the {named}.", "coverage")
    if thin:
        yield Note(f"{plural(thin, 'value')} of the axes have far fewer examples than the recipe asks for.", "coverage")
    found = facts.survey.duplicates
    if found.texts and found.near / found.texts >= _MANY_ALIKE:
        yield Note(f"{percent(found.near / found.texts)} of the examples nearly repeat another one.", "likeness")


def _cut(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"
