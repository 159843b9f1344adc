"""A job's report: one HTML file with everything there is to see of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from config.errors import UserError
from config.private import private_file
from console.report.facts import gather
from console.report.page import page
from ledger.connection import Redis


def write_report(redis: Redis, job: str, folder: Path, to: Path) -> None:
    """Writes the report of a job, whose part files are in `folder`, to one file.

    Raises:
        UserError: the job is not in the ledger, a part is damaged or cannot be read, or the file cannot be written.
    """
    text = page(gather(redis, job, folder), datetime.now().astimezone())
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        # It shows answers, which cost money.
        private_file(to).write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{to}: cannot be written ({error.strerror}).") from None
