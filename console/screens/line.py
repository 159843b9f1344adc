"""A job in one line, where there is no terminal: for people, or for machines."""

from __future__ import annotations

from config.logs import log
from console.reading import words
from console.reading.job import JobView
from console.reading.watching import Watched
from ledger.jobs import AT_REST


def plain(watched: Watched, starting: bool = False) -> str:
    """The job in one line for people."""
    job, status = watched.job, watched.status
    counts = f"({status.accepted:,} accepted, {status.rejected:,} rejected)"
    parts = [f"{status.job}: {status.settled:,} of {status.total:,} {counts}"]
    running = status.state not in AT_REST
    if running:
        parts.append(f"{status.running:,} in flight")
        parts.append(f"{words.rate(job.per_minute)} now")
    if status.settled:
        parts.append(f"{words.rate(job.run_per_minute)} over the run")
    of = f" of {words.budget(status.budget_usd)}" if status.budget_usd is not None else ""
    parts.append(f"{words.dollars(status.cost_usd)}{of}")
    if running and job.left is not None:
        parts.append(f"{words.left(job.left)} left")
    if running and not watched.around.workers:
        parts.append("workers are starting" if starting else "no worker is alive")
    elif running and status.note:
        parts.append(status.note)
    elif watched.binds is not None:
        parts.append(words.BINDS[watched.binds])
    return f"{', '.join(parts)}; {status.state}"


def log_reading(view: JobView) -> None:
    """Logs how far the job is, for machines."""
    status = view.status
    log(
        "job_progress",
        job=status.job,
        state=status.state,
        accepted=status.accepted,
        rejected=status.rejected,
        total=status.total,
        running=status.running,
        per_minute=round(view.per_minute, 1),
        cost_usd=status.cost_usd,
    )
