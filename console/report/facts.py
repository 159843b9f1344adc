"""All that a report tells, gathered: from the ledger what it counted, from the part files what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.errors import UserError
from config.models import Limits
from console.report.attempts import Seen, in_flight, seen
from console.report.count_axes import count_axes
from console.report.coverage import Coverage
from console.report.failures import Failure, failures
from console.report.limits_use import LimitsUse, of_attempts, of_readings
from console.report.survey import Survey, survey
from console.usage_query import Attempts, ask
from ledger import history, jobs, limits
from ledger.connection import Redis
from ledger.history import JobReading, ModelReading
from ledger.jobs import Spec
from ledger.part_lines import Lines
from ledger.parts import Parts
from ledger.status import Status, status_of


@dataclass(frozen=True)
class Facts:
    """A job, its attempts, its examples.

    Attributes:
        status: the ledger's reading.
        spec: what was asked for.
        seen: of the attempts that are collected here.
        flying: calls in flight on average, for each step of the attempts' time.
        limits: None where there is nothing to tell them from.
        failures: the most frequent first.
        coverage: of each recipe, in their order.
        accepted: of each recipe, examples in the part files.
        survey: of the accepted examples in the part files.
        progress: the ledger's readings of the job, for where no attempts are here.
    """

    status: Status
    spec: Spec
    seen: Seen
    flying: list[float]
    limits: LimitsUse | None
    failures: list[Failure]
    coverage: list[Coverage]
    accepted: dict[str, int]
    survey: Survey
    progress: list[JobReading]

    @property
    def uncollected(self) -> int:
        """Attempts that the ledger counts and that are not in the part files here."""
        return max(0, self.status.attempts - int(self.seen.totals["attempts"]))


def gather(redis: Redis, job: str, folder: Path) -> Facts:
    """Everything there is to tell of a job.

    Args:
        redis: the ledger's broker.
        job: its id.
        folder: of its part files; it may hold none.

    Raises:
        UserError: the job is not in the ledger, or a part is damaged or cannot be read.
    """
    spec, status = jobs.spec(redis, job), status_of(redis, job)

    def look(attempts: Attempts) -> tuple[Seen, list[float]]:
        found = seen(attempts)
        return found, in_flight(attempts, found.timeline)

    found, flying = ask(folder, None, look)
    parts = Parts(folder)
    with parts.reading("accepted") as accepted, parts.reading("rejected") as rejected:
        with _damage_named(rejected):
            causes = failures(status.reasons, found.causes, rejected)
        with _damage_named(accepted):
            coverage, sizes = count_axes(spec.recipes, accepted)
            surveyed = survey(accepted, sizes.total(), spec.seed)
    line = found.timeline
    readings = history.of_model(redis, spec.model, line.first - 60) if line.steps else []
    return Facts(
        status=status,
        spec=spec,
        seen=found,
        flying=flying,
        limits=_limits(redis, spec.model, found, flying, readings),
        failures=causes,
        coverage=coverage,
        accepted=dict(sizes),
        survey=surveyed,
        progress=history.of_job(redis, job),
    )


def _limits(
    redis: Redis, model: str, found: Seen, flying: Sequence[float], readings: Sequence[ModelReading]
) -> LimitsUse | None:
    line = found.timeline
    if not line.steps:
        return None
    read = of_readings(readings, line.first, line.last)
    if read is not None and read.uses:
        return read
    declared, told = limits.read(redis, model), limits.use(redis, model).told
    in_force = Limits(
        requests_per_minute=_lower(declared.requests_per_minute, told.requests_per_minute),
        tokens_per_minute=_lower(declared.tokens_per_minute, told.tokens_per_minute),
        concurrent_requests=declared.concurrent_requests,
    )
    return of_attempts(line, flying, in_force)


def _lower(one: float | None, other: float | None) -> float | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


@contextmanager
def _damage_named(paths: Sequence[Path]) -> Iterator[None]:
    """Where reading fails, says which file and line is damaged."""
    import duckdb  # noqa: PLC0415  as slow to start as all other modules together

    try:
        yield
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}).") from error
    except duckdb.Error as error:
        for path in paths:
            for _ in Lines().rows(path, 0):
                pass
        folder = paths[0].parent if paths else "the part files"
        raise UserError(f"{folder}: the examples cannot be read ({str(error).partition(chr(10))[0]}).") from error
