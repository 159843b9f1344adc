"""What came of a job, in a few lines."""

from __future__ import annotations

from pathlib import Path

from config import folders
from config.logs import tell
from console.reading.words import dollars, span
from ledger.status import Status


def headline(status: Status) -> str:
    """What came of a job, in a line."""
    rate = status.settled / status.seconds if status.seconds else 0.0
    return (
        f"{status.job}: {status.accepted} accepted, {status.rejected} rejected of {status.total}, "
        f"{dollars(status.cost_usd)}, {span(status.seconds)}, {rate:.1f}/s"
    )


def summary(status: Status, to: Path | None, written: int | None) -> None:
    """What came of a job, on standard error."""
    lines = [headline(status)]
    if to is not None:
        lines.append(f"Dataset: {to} ({written} examples)")
    else:
        lines.append(f"Results: {folders.job(status.job)}")
    match status.state:
        case "complete":
            pass
        case "budget":
            own = f"Stopped by the budget of {dollars(status.budget_usd or 0)}: "
            more = "run the same command with a higher --budget to go on."
            lines.append(f"Stopped: {status.note}" if status.note else own + more)
        case "stopped":
            lines.append(f"Stopped: {status.note}")
        case _:
            lines.append(f"Not complete ({status.state}): run the same command again to go on.")
    for line in lines:
        tell(line)
