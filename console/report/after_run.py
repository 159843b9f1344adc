"""The report that a run makes of itself."""

from __future__ import annotations

from config import folders
from config.errors import UserError
from console.report import write_report
from ledger.connection import Redis
from ledger.status import Status

_REST = frozenset({"complete", "budget", "stopped"})


def report_after(redis: Redis, status: Status) -> str | None:
    """Makes the report beside the job's part files, and says where it is; None for a job that goes on.

    A dataset that is made is worth more than its report: where that cannot be made, the answer says why.
    """
    if status.state not in _REST or not status.attempts:
        return None
    to = folders.job(status.job) / "report.html"
    try:
        write_report(redis, status.job, folders.job(status.job), to)
    except UserError as error:
        return f"No report: {error}"
    except Exception as error:
        return f"No report ({type(error).__name__}); to try again: genfleet report {status.job}"
    return f"Report: {to}"
