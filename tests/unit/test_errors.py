"""The one decision about a failed call, as a table of what OpenRouter's and OpenAI's references name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import Decision, Failure, decide

REFUSED = Decision("again", "rate_limited", refused=True)
NO_QUOTA = Decision("stop", "insufficient_quota")

TABLE: list[tuple[Failure, Decision]] = [
    # On its way: only what was sent may have been billed.
    (Failure(transport="timeout"), Decision("again", "timeout", charged=True)),
    (Failure(transport="connection"), Decision("again", "connection_lost", charged=True)),
    (Failure(transport="stopped"), Decision("again", "worker_stopped", charged=True)),
    (Failure(transport="connect"), Decision("again", "unreachable")),
    # 429: by its code.
    (Failure(429), REFUSED),
    (Failure(429, kind="rate_limit_exceeded"), REFUSED),
    (Failure(429, code="rate_limit_exceeded", kind="tokens"), REFUSED),
    (Failure(429, code="slow_down"), REFUSED),
    (Failure(429, retryable=True, retry_after=3), REFUSED),
    (Failure(429, code="insufficient_quota", kind="insufficient_quota"), NO_QUOTA),
    (Failure(429, code="credit_balance_exhausted", kind="insufficient_quota"), NO_QUOTA),
    (Failure(429, code="organization_spend_limit_exceeded"), NO_QUOTA),
    (Failure(429, code="project_spend_limit_exceeded"), NO_QUOTA),
    (Failure(429, code="organization_usage_limit_exceeded"), NO_QUOTA),
    # 402: an empty account, or too much in flight.
    (Failure(402), Decision("stop", "payment_required")),
    (Failure(402, kind="payment_required"), Decision("stop", "payment_required")),
    (Failure(402, code="weight_exceeds_budget"), Decision("stop", "payment_required")),
    (Failure(402, code="openrouter_key_limit", retryable=False), Decision("stop", "payment_required")),
    (Failure(402, code="in_flight_budget_exhausted", retry_after=2), REFUSED),
    (Failure(402, kind="in_flight_budget_exhausted"), REFUSED),
    (Failure(402, retryable=True), REFUSED),
    (Failure(402, kind="payment_required", affords=3919), Decision("again", "low_credit", concerns_job=True)),
    (Failure(402, affords=0), Decision("stop", "payment_required")),
    # The key.
    (Failure(401), Decision("stop", "invalid_key")),
    (Failure(401, code="invalid_api_key", kind="authentication"), Decision("stop", "invalid_key")),
    (Failure(403), Decision("stop", "forbidden")),
    (Failure(403, kind="permission_denied"), Decision("stop", "forbidden")),
    (Failure(403, kind="content_policy_violation"), Decision("reject", "moderated")),
    # The provider's fault.
    *[(Failure(status), Decision("again", f"http_{status}")) for status in (408, 409, 500, 502, 503, 504, 524, 529)],
    (Failure(500, kind="server"), Decision("again", "http_500")),
    (Failure(502, kind="provider_unavailable", retryable=True), Decision("again", "http_502")),
    (Failure(503, code="server_is_overloaded"), Decision("again", "http_503")),
    (Failure(504, kind="timeout"), Decision("again", "http_504")),
    (Failure(523), Decision("again", "http_523")),
    (Failure(400, kind="provider_unavailable"), Decision("again", "http_400")),
    # Where the provider says whether to try again, it is believed.
    (Failure(503, retryable=False), Decision("reject", "http_503")),
    (Failure(404, retryable=True), Decision("again", "http_404")),
    # The request's fault: another try would do no better.
    *[(Failure(status), Decision("reject", f"http_{status}")) for status in (400, 404, 405, 412, 413, 415, 422, 451)],
    (Failure(404, kind="not_found", code="model_not_found"), Decision("reject", "http_404")),
    (Failure(404, code="no_endpoints"), Decision("stop", "no_endpoints")),
    (Failure(400, kind="context_length_exceeded"), Decision("reject", "http_400")),
    (Failure(400, kind="refusal"), Decision("reject", "refused")),
    (Failure(400, kind="content_policy_violation"), Decision("reject", "refused")),
    (Failure(400, code="content_policy_violation"), Decision("reject", "refused")),
    # Under status 200 the kind stands for the status; without one the provider had begun to answer and failed.
    (Failure(200), Decision("again", "provider_error")),
    (Failure(200, kind="empty"), Decision("again", "provider_error")),
    (Failure(200, kind="something_new"), Decision("again", "provider_error")),
    (Failure(200, kind="rate_limit_exceeded"), REFUSED),
    (Failure(200, kind="provider_unavailable"), Decision("again", "http_502")),
    (Failure(200, kind="provider_overloaded"), Decision("again", "http_503")),
    (Failure(200, kind="timeout"), Decision("again", "http_504")),
    (Failure(200, kind="server"), Decision("again", "http_500")),
    (Failure(200, kind="unmapped"), Decision("again", "http_500")),
    (Failure(200, kind="authentication"), Decision("stop", "invalid_key")),
    (Failure(200, kind="payment_required"), Decision("stop", "payment_required")),
    (Failure(200, kind="refusal"), Decision("reject", "refused")),
    (Failure(200, kind="content_policy_violation"), Decision("reject", "refused")),
    (Failure(200, code="content_policy_violation"), Decision("reject", "refused")),
    (Failure(200, kind="context_length_exceeded"), Decision("reject", "http_400")),
    (Failure(200, kind="no_endpoints"), Decision("stop", "no_endpoints")),
    (Failure(200, code="insufficient_quota"), NO_QUOTA),
    (Failure(200, retryable=False), Decision("reject", "provider_error")),
]  # fmt: skip


@pytest.mark.parametrize(("failure", "decision"), TABLE, ids=[str(failure) for failure, _ in TABLE])
def test_decisions(failure: Failure, decision: Decision) -> None:
    """Each failure that the providers document has its one decision."""
    assert decide(failure) == decision


WORD = st.none() | st.text(max_size=5) | st.sampled_from(
    sorted({word for failure, _ in TABLE for word in (failure.code, failure.kind) if word})
)  # fmt: skip
FAILURE = st.builds(
    Failure,
    status=st.none() | st.integers(100, 599),
    code=WORD,
    kind=WORD,
    retryable=st.none() | st.booleans(),
    retry_after=st.none() | st.floats(0, 1e9),
    transport=st.sampled_from([None, "timeout", "connect", "connection", "stopped"]),
)


@given(FAILURE)
def test_every_failure_has_a_decision(failure: Failure) -> None:
    """Whatever failed is decided, with a reason that can be counted, and the same each time."""
    decision = decide(failure)
    assert decision == decide(failure)
    assert decision.action in ("again", "reject", "stop")
    assert decision.reason.replace("_", "").isalnum()


@given(FAILURE)
def test_only_429_is_heeded_by_the_fleet(failure: Failure) -> None:
    """The fleet pauses for a 429, its like in a 200 body and money in flight; a 5xx never slows it down."""
    if decide(failure).refused:
        assert failure.transport is None
        assert failure.status in (429, 402) or failure.kind == "rate_limit_exceeded"


@given(FAILURE)
def test_charged_only_without_an_answer(failure: Failure) -> None:
    """A call may have been billed unseen only if it was sent and nothing came back; then it is tried again."""
    decision = decide(failure)
    assert decision.charged == (failure.transport in ("timeout", "connection", "stopped"))
    if decision.charged:
        assert decision.action == "again"


@given(FAILURE)
def test_stopping_is_for_what_every_call_would_meet(failure: Failure) -> None:
    """A job is stopped only for the key, the money, or a model that nobody offers as it is asked for."""
    if decide(failure).action == "stop":
        account = ("insufficient_quota", "invalid_key", "payment_required", "forbidden")
        assert decide(failure).reason in (*account, "no_endpoints")
