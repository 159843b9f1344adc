"""What becomes of a call that brought no usable answer: one pure decision.

Sources: OpenRouter's error reference (statuses, `error.metadata.error_type`, `error.availability`), OpenAI's error
codes. A failure is tried again only where the provider, or the way to it, is at fault and another try may succeed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Failure:
    """A call that failed: by its HTTP status and the error's own words, or on its way (`transport`)."""

    status: int | None = None
    code: str | None = None
    kind: str | None = None
    retryable: bool | None = None
    """What the provider itself says about trying again."""
    retry_after: float | None = None
    """Seconds the provider asks to wait."""
    transport: Literal["timeout", "connect", "connection", "stopped"] | None = None
    """timeout: no answer in time; connect: the request was never sent; connection: it broke after that;
    stopped: the worker had to end before the answer came."""
    latency: float = 0.0


@dataclass(frozen=True)
class Decision:
    """What to do about a failure.

    action: again = try the example once more; reject = it will not do better; stop = the whole job would meet it.
    reason: a word for counts and records.
    charged: whether the provider may have billed the call although no answer came.
    refused: whether it was a 429, which the whole fleet heeds.
    """

    action: Literal["again", "reject", "stop"]
    reason: str
    charged: bool = False
    refused: bool = False


_TRANSPORT = {
    "timeout": "timeout",
    "connect": "unreachable",
    "connection": "connection_lost",
    "stopped": "worker_stopped",
}
_AGAIN_STATUS = {408, 409, 500, 502, 503, 504, 520, 522, 524, 529}
_AGAIN_KIND = {
    "timeout", "provider_unavailable", "provider_overloaded", "overloaded", "server_error", "server_is_overloaded",
    "internal_server_error", "upstream_error", "slow_down",
}  # fmt: skip
_SPENT = {
    "insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded", "organization_usage_limit_exceeded",
}  # fmt: skip


def decide(failure: Failure) -> Decision:  # noqa: C901, PLR0911  a table, read from top to bottom
    """The one place that decides what a failed call means."""
    if failure.transport is not None:
        return Decision("again", _TRANSPORT[failure.transport], charged=failure.transport != "connect")
    words = {failure.code, failure.kind}
    status = failure.status
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
        return Decision("stop", "payment_required")
    if status == 403:
        return Decision("reject", "moderated") if "content_policy_violation" in words else Decision("stop", "forbidden")
    if failure.retryable or status in _AGAIN_STATUS or words & _AGAIN_KIND:
        return Decision("again", f"http_{status}" if status and status != 200 else "provider_error")
    if status == 200:
        # The provider began to answer and failed: its words decide above; without any, it is its fault.
        return Decision("again", "provider_error")
    if "refusal" in words or "content_policy_violation" in words:
        return Decision("reject", "refused")
    return Decision("reject", f"http_{status}")
