"""Where things are kept in the data folder."""

from __future__ import annotations

from pathlib import Path

from config.settings import settings


def jobs() -> Path:
    """The results of all jobs, a folder each."""
    return settings().data / "jobs"


def job(job_id: str) -> Path:
    """Where this machine keeps a job's results."""
    return jobs() / job_id


def broker() -> Path:
    """The embedded broker's data."""
    return settings().data / "broker"


def logs() -> Path:
    """The logs of processes that commands start."""
    return settings().data / "logs"


def spool() -> Path:
    """Copies of rows that can be read only once."""
    return settings().data / "spool"


def journal() -> Path:
    """Settlements that the broker could not take yet."""
    return settings().data / "journal"


def prices_file() -> Path:
    """Where refreshed prices are kept."""
    return settings().data / "prices.json"
