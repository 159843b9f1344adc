"""The names of everything the ledger keeps in Redis."""

PREFIX = "genfleet:"
JOBS = f"{PREFIX}jobs"
WORKERS = f"{PREFIX}workers"
JANITOR = f"{PREFIX}janitor"
HEARD = f"{PREFIX}heard"
"""Exists while any worker's heart has been heard lately."""
SILENCE = f"{PREFIX}silence"
"""Exists for a while after no heart had been heard: then nobody is taken for dead."""
FORMAT = f"{PREFIX}format"
"""The number of the form in which all this is kept, see format.py."""
BUDGET = f"{PREFIX}budget"
"""The fleet's books of the day: the most it may spend, what it has spent, reserved, and what is unknown."""


def job(job_id: str, part: str = "") -> str:
    """A job's hash, or one of its parts.

    They are spec, todo, leases, tries, lost, unknown, rejected, reasons, results, latest, history, collector,
    collected, orphans and producer.
    """
    return f"{PREFIX}job:{job_id}" + (f":{part}" if part else "")


def model(name: str) -> str:
    """A model's limits and bucket levels."""
    return f"{PREFIX}model:{name}"


def window(model_name: str) -> str:
    """What was admitted of a model in each tenth of a second of the last minute."""
    return f"{PREFIX}window:{model_name}"


def history(model_name: str) -> str:
    """Readings of a model's use over the last day; those of a job are its part `history`."""
    return f"{PREFIX}history:{model_name}"


def waiting(model_name: str) -> str:
    """The lines of all workers that were told to wait for a model, and when their turn is."""
    return f"{PREFIX}waiting:{model_name}"


def learned(model_name: str, recipe: str = "") -> str:
    """What calls of a recipe to a model have used so far; without a recipe, how long all the model's calls took.

    The latter is also the prefix of the former.
    """
    return f"{PREFIX}learned:{model_name}:{recipe}"


def worker(worker_id: str, part: str = "") -> str:
    """A worker's heartbeat, or one of its parts: its leases, and what it holds without one (waiting, as JSON)."""
    return f"{PREFIX}worker:{worker_id}" + (f":{part}" if part else "")
