"""What Flower shows of a task whose examples were not accepted: an exception of the cause's class."""

from __future__ import annotations


class Rejected(Exception):
    """An example was not accepted. Raised at the end of its task, so that Flower shows it under its cause."""


class InvalidOutput(Rejected):
    """The answer failed the recipe's checks."""


class TruncatedOutput(Rejected):
    """The answer was cut by max_tokens."""


class Refused(Rejected):
    """The model refused."""


class WorkersDied(Rejected):
    """Every worker that took the example up died."""


class TaskUnreadable(Rejected):
    """The task's record in the broker could not be read."""


class ProviderError(Rejected):
    """Every call for the example failed."""


class OverBudget(Rejected):
    """No call was made: the job is at the end of its budget, and goes on once it has more."""


_CLASSES = {
    "invalid": InvalidOutput, "length": TruncatedOutput, "cut_short": TruncatedOutput, "refused": Refused,
    "moderated": Refused, "poison": WorkersDied, "unreadable": TaskUnreadable, "budget": OverBudget,
}  # fmt: skip


def class_of(reason: str) -> type[Rejected]:
    """The class of a cause, by the word that counts and records have for it."""
    return _CLASSES.get(reason, ProviderError)


def rejection(reason: str, detail: str) -> Rejected:
    """The exception for examples that were rejected for `reason`."""
    kind = class_of(reason)
    return kind(f"{reason}: {detail}" if kind is ProviderError else detail)
