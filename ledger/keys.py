"""The names of everything the ledger keeps in Redis."""

PREFIX = "genfleet:"
JOBS = f"{PREFIX}jobs"
WORKERS = f"{PREFIX}workers"
JANITOR = f"{PREFIX}janitor"


def job(job_id: str, part: str = "") -> str:
    """A job's hash, or one of its parts: todo, leases, tries, lost, unknown, rejected, reasons, results, spec."""
    return f"{PREFIX}job:{job_id}" + (f":{part}" if part else "")


def model(name: str) -> str:
    """A model's limits and bucket levels."""
    return f"{PREFIX}model:{name}"


def learned(model_name: str, recipe: str = "") -> str:
    """What calls of a recipe to a model have used so far; without a recipe, the prefix of those keys."""
    return f"{PREFIX}learned:{model_name}:{recipe}"


def worker(worker_id: str, part: str = "") -> str:
    """A worker's heartbeat (what it holds, as JSON), or its leases."""
    return f"{PREFIX}worker:{worker_id}" + (f":{part}" if part else "")
