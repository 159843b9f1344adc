"""What becomes of a call that brought no usable answer: one pure decision.

Sources: OpenRouter's error reference (statuses, `error.metadata.error_type`, `error.availability`), OpenAI's error
codes. A failure is tried again only where the provider, or the way to it, is at fault and another try may succeed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Told:
    """The provider's limits as its headers name them, per minute; None where they name none."""

    requests_per_minute: float | None
    tokens_per_minute: float | None


@dataclass(frozen=True)
class Failure:
    """A call that failed: by its HTTP status and the error's own words, or on its way (`transport`)."""

    status: int | None = None
    code: str | None = None
    """The error's own code, such as insufficient_quota."""
    kind: str | None = None
    """The class of error, such as provider_unavailable."""
    retryable: bool | None = None
    """What the provider itself says about trying again."""
    retry_after: float | None = None
    """Seconds the provider asks to wait."""
    transport: Literal["timeout", "connect", "connection", "stopped"] | None = None
    """timeout: no answer in time; connect: the request was never sent; connection: it broke after that;
    stopped: the worker had to end before the answer came."""
    affords: int | None = None
    """The tokens that the account's credit is enough for, where the call asked for more."""
    latency: float = 0.0
    told: Told | None = None
    """The limits that its headers name."""


@dataclass(frozen=True)
class Decision:
    """What to do about a failure.

    action: again = try the example once more; reject = it will not do better; stop = the whole job would meet it.
    reason: a word for counts and records.
    charged: whether the provider may have billed the call although no answer came.
    refused: whether it was a 429, which the whole fleet heeds.
    concerns_job: whether it says nothing against the example: the job is stopped when as many calls of one
        example have failed so as may fail.
    """

    action: Literal["again", "reject", "stop"]
    reason: str
    charged: bool = False
    refused: bool = False
    concerns_job: bool = False


_TRANSPORT = {
    "timeout": "timeout",
    "connect": "unreachable",
    "connection": "connection_lost",
    "stopped": "worker_stopped",
}
#: The statuses that stand for the kinds of error, for an error that a provider sends under status 200.
_STATUS_OF = {
    "rate_limit_exceeded": 429, "authentication": 401, "permission_denied": 403, "payment_required": 402,
    "provider_unavailable": 502, "provider_overloaded": 503, "timeout": 504, "server": 500, "unmapped": 500,
    "context_length_exceeded": 400, "max_tokens_exceeded": 400, "token_limit_exceeded": 400, "string_too_long": 400,
    "invalid_request": 400, "invalid_prompt": 400, "content_policy_violation": 400, "refusal": 400, "not_found": 404,
    "model_not_found": 404, "no_endpoints": 404, "constraint_filtered": 404, "precondition_failed": 412,
    "payload_too_large": 413, "unprocessable": 422,
}  # fmt: skip
_AGAIN_KIND = {
    "timeout", "provider_unavailable", "provider_overloaded", "overloaded", "server_error", "server_is_overloaded",
    "internal_server_error", "upstream_error", "slow_down",
}  # fmt: skip
_REFUSAL = {"refusal", "content_policy_violation"}
_NOBODY = {"no_endpoints", "constraint_filtered"}
_SPENT = {
    "insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded", "organization_usage_limit_exceeded",
}  # fmt: skip


def decide(failure: Failure) -> Decision:  # noqa: PLR0911, C901  a table, read from top to bottom
    """The one place that decides what a failed call means."""
    if failure.transport is not None:
        return Decision("again", _TRANSPORT[failure.transport], charged=failure.transport != "connect")
    words = {failure.code, failure.kind}
    status = _STATUS_OF.get(failure.kind or "", 200) if failure.status == 200 else failure.status
    if words & _SPENT:
        return Decision("stop", "insufficient_quota")
    if status == 429:
        return Decision("again", "rate_limited", refused=True)
    if status == 401:
        return Decision("stop", "invalid_key")
    if status == 402:
        # OpenRouter holds money for calls in flight: too many at once is no empty account.
        if "in_flight_budget_exhausted" in words or failure.retryable:
            return Decision("again", "rate_limited", refused=True)
        if failure.affords:
            # What calls in flight do not use comes back to the account, so another try may be paid for.
            return Decision("again", "low_credit", concerns_job=True)
        return Decision("stop", "payment_required")
    if status == 403:
        return Decision("reject", "moderated") if words & _REFUSAL else Decision("stop", "forbidden")
    if words & _REFUSAL:
        return Decision("reject", "refused")
    if words & _NOBODY:
        return Decision("stop", "no_endpoints")
    reason = "provider_error" if status in (None, 200) else f"http_{status}"
    if failure.retryable is not None:
        return Decision("again" if failure.retryable else "reject", reason)
    # An error under status 200 that says no more came after the provider had begun to answer.
    passing = status in (200, 408, 409) or (status is not None and status >= 500) or words & _AGAIN_KIND
    return Decision("again" if passing else "reject", reason)
