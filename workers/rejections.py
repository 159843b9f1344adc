"""What Flower shows of a task whose examples were not accepted: an exception of the reason's class."""

from __future__ import annotations


class Rejected(Exception):
    """An example was not accepted. Raised at the end of its task, so that Flower shows it under its reason."""


class AnswerInvalid(Rejected):
    """The answer failed the recipe's checks."""


class AnswerCut(Rejected):
    """The answer was cut by max_tokens."""


class ModelRefused(Rejected):
    """The model refused."""


class WorkersDied(Rejected):
    """Every worker that took the example up died."""


class TaskUnreadable(Rejected):
    """The task's record in the broker could not be read."""


class CallFailed(Rejected):
    """Every call for the example failed."""


_CLASSES = {
    "invalid": AnswerInvalid, "length": AnswerCut, "refused": ModelRefused, "poison": WorkersDied,
    "unreadable": TaskUnreadable,
}  # fmt: skip


def rejection(reason: str, detail: str) -> Rejected:
    """The exception for examples that were rejected for `reason`."""
    return _CLASSES[reason](detail) if reason in _CLASSES else CallFailed(f"{reason}: {detail}")
