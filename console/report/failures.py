"""Why examples were rejected and calls repeated, with an example of each cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.report.attempts import Cause
from ledger.attempt_files import SETTINGS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

RAW_SHOWN = 700  # characters of an answer
_DETAILS = 5
_SORTED = 100_000  # rejections whose sentences are sorted
_LINE = 8 * 2**20  # bytes; an answer is kept up to 200,000 characters, its row up to some megabytes

#: What a cause means, for people. `http_…` has one sentence for all.
MEANINGS = {
    "rate_limited": "The provider refused the call for its rate (429 or 402); the whole fleet paused and repeated it.",
    "timeout": "No answer came in time; the provider may have billed the call all the same.",
    "unreachable": "The provider could not be reached.",
    "connection_lost": "The connection broke before the answer was whole.",
    "worker_stopped": "The worker had to end before the answer came.",
    "worker_lost": "The worker died with the call in flight; what it cost is not known.",
    "provider_error": "The provider answered with an error.",
    "empty": "The model answered with nothing.",
    "cut_short": "The answer was cut at a cap that the fleet had learned; the next attempt had the recipe's own.",
    "length": "The answer was cut at the recipe's max_tokens.",
    "invalid": "The answer failed the recipe's checks.",
    "refused": "The model, or a filter, refused to answer.",
    "moderated": "The provider's moderation refused the prompt.",
    "poison": "Every worker that took it up died.",
    "unreadable": "The task's record could not be read.",
    "duplicate": "Another attempt had settled the example already.",
    "not_asked": "This worker could not make the request; the job was stopped.",
    "insufficient_quota": "The account had no quota left; the job was stopped.",
    "invalid_key": "The provider refused the API key; the job was stopped.",
    "payment_required": "The provider asked for payment; the job was stopped.",
    "forbidden": "The provider forbade the key this model; the job was stopped.",
    "no_endpoints": "No endpoint offered the model with these parameters at these prices; the job was stopped.",
}


@dataclass(frozen=True)
class Rejection:
    """A rejected example: why, and the beginning of the answer, `cut` characters shorter than it came."""

    id: str
    detail: str
    raw: str
    cut: int


@dataclass(frozen=True)
class Failure:
    """One cause. `again` and `rejected` are the ledger's counts; `attempt` and `rejection` are examples, if any.

    `details` are the commonest sentences, (sentence, examples), with quotations and numbers left out.
    """

    reason: str
    again: int
    rejected: int
    cost_nano_usd: int
    unknown: int
    attempt: dict[str, Any] = field(default_factory=dict)
    rejection: Rejection | None = None
    details: tuple[tuple[str, int], ...] = ()

    @property
    def meaning(self) -> str:
        """What it means, in a sentence."""
        if self.reason.startswith("http_"):
            return f"The provider answered with status {self.reason.removeprefix('http_')}."
        return MEANINGS.get(self.reason, "")


def failures(reasons: Mapping[str, int], causes: Sequence[Cause], rejected: Sequence[Path]) -> list[Failure]:
    """Every cause, the most frequent first.

    Args:
        reasons: the ledger's counts, "outcome:reason" -> number.
        causes: the same as the collected attempts tell it, with money and an attempt of each.
        rejected: part files of rejected examples.

    Raises:
        duckdb.Error: a part is damaged.
    """
    counted: dict[str, dict[str, int]] = {}
    for name, number in reasons.items():
        outcome, _, reason = name.partition(":")
        counted.setdefault(reason, {})[outcome] = number
    by_reason = {cause.reason: cause for cause in causes}
    examples = _rejections(rejected)
    found = []
    for reason in dict.fromkeys([*counted, *by_reason, *examples]):
        cause, (rejection, details) = by_reason.get(reason), examples.get(reason, (None, ()))
        numbers = counted.get(reason, {})
        found.append(
            Failure(
                reason,
                numbers.get("again", 0),
                numbers.get("rejected", 0),
                cause.cost_nano_usd if cause else 0,
                cause.unknown if cause else 0,
                cause.example if cause else {},
                rejection,
                details,
            )
        )
    return sorted(found, key=lambda failure: (-failure.rejected - failure.again, failure.reason))


def _rejections(paths: Sequence[Path]) -> dict[str, tuple[Rejection | None, tuple[tuple[str, int], ...]]]:
    if not paths:
        return {}
    import duckdb  # noqa: PLC0415

    config = SETTINGS | {"memory_limit": "200MB", "threads": 1, "preserve_insertion_order": False}
    with duckdb.connect(config=config) as connection:
        return _asked(connection, [escape(str(path)) for path in paths])


def _asked(
    connection: DuckDBPyConnection, files: list[str]
) -> dict[str, tuple[Rejection | None, tuple[tuple[str, int], ...]]]:
    columns = "{'id': 'VARCHAR', 'index': 'BIGINT', 'reason': 'VARCHAR', 'detail': 'VARCHAR', 'raw': 'VARCHAR'}"
    source = f"read_json($1, format = 'newline_delimited', columns = {columns}, maximum_object_size = {_LINE})"
    # The first of each, rather one with an answer; no more of the answers than that is ever kept in memory.
    firsts = connection.execute(
        f"""SELECT reason, unnest(arg_min({{'id': id, 'detail': detail, 'raw': left(raw, {RAW_SHOWN}),
                'size': length(raw)}}, "index" + if(raw IS NULL, 2^60, 0))) FROM {source} GROUP BY reason""",  # noqa: S608
        [files],
    ).fetchall()
    sentences = connection.execute(
        f"""SELECT reason, regexp_replace(regexp_replace(left(detail, 300), '"[^"]*"', '"…"', 'g'), '\\d+', '#', 'g')
                AS said, count(*) AS count
            FROM (SELECT reason, detail FROM {source} WHERE detail IS NOT NULL LIMIT {_SORTED})
            GROUP BY reason, said
            QUALIFY row_number() OVER (PARTITION BY reason ORDER BY count DESC, said) <= {_DETAILS}
            ORDER BY count DESC, said""",  # noqa: S608
        [files],
    ).fetchall()
    return {
        reason: (
            Rejection(id_, detail or "", raw or "", max(0, (size or 0) - RAW_SHOWN)),
            tuple((said, count) for of, said, count in sentences if of == reason),
        )
        for reason, id_, detail, raw, size in firsts
    }
