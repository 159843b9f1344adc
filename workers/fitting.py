"""Which jobs this process can make: those whose output classes are here just as their producer has them.

Examples that another version of a class would check are neither those that were asked for nor alike.
"""

from __future__ import annotations

from config.errors import RecipeError
from config.fingerprint import fingerprint
from config.importing import output_class
from config.logs import log
from ledger.jobs import OutputClass, Running


class Fitting:
    """The jobs that do not fit, each told once.

    Attributes:
        refused: by job that runs and does not fit, the reason in a sentence.
    """

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self._known: dict[OutputClass, str | None] = {}

    def of(self, jobs: dict[str, Running]) -> dict[str, Running]:
        """Those of the jobs that fit; says in the log which have come that do not."""
        before, self.refused = self.refused, {}
        for job, running in jobs.items():
            why = next(filter(None, map(self._problem, running.classes)), None)
            if why is None:
                continue
            self.refused[job] = why
            if before.get(job) != why:
                log("job_not_taken", job=job, why=why)
        return {job: running for job, running in jobs.items() if job not in self.refused}

    def _problem(self, wanted: OutputClass) -> str | None:
        # Once for each: a module that cannot be imported would run again each time.
        if wanted not in self._known:
            self._known[wanted] = _compared(wanted)
        return self._known[wanted]


def _compared(wanted: OutputClass) -> str | None:
    try:
        found = fingerprint(output_class(wanted.path, wanted.recipe))
    except RecipeError as error:
        return f"{error} A worker must be started anew once it has the class.".replace("\n", " ")
    except Exception as error:  # its author's code, such as a schema that cannot be made
        return f"{wanted.recipe}: output: {wanted.path} cannot be used here ({type(error).__name__})."
    if found == wanted.fingerprint:
        return None
    return (
        f"recipe {wanted.recipe} was submitted with another version of {wanted.path} ({wanted.fingerprint}) than the "
        f"worker has ({found}); start workers that have the same, or submit the job again with theirs."
    )
