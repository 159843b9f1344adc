"""The simulated provider's limits, on a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config.models import Limits
from console.provider.buckets import CONCURRENCY_WAIT_SECONDS, Bucket, Limiter

pauses = st.lists(st.floats(0, 30, allow_nan=False), max_size=60)
calls = st.lists(st.tuples(st.floats(0, 10, allow_nan=False), st.integers(1, 5_000)), max_size=80)
rates = st.floats(1, 1_000_000)


@given(rates, st.floats(0.1, 60), pauses)
def test_requests_never_pass_burst_and_rate(per_minute: float, burst: float, pauses: list[float]) -> None:
    """In any time since the start, the requests admitted are at most the burst and what has flowed in since."""
    limiter, now, admitted = Limiter(Limits(requests_per_minute=per_minute), burst, 6.0, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        while limiter.admit(0, now) is None and admitted < 500:
            admitted += 1
        capacity = per_minute / 60 * burst
        # One call above a capacity below one is admitted in debt.
        assert admitted <= capacity + per_minute / 60 * now + max(0.0, 1 - capacity) + 1e-3


@given(rates, calls)
def test_tokens_never_pass_burst_and_rate_in_any_window(per_minute: float, calls: list[tuple[float, int]]) -> None:
    """Between any two admissions, the tokens admitted are at most a full bucket, the inflow and one call's excess."""
    limiter, now = Limiter(Limits(tokens_per_minute=per_minute), 1.0, 6.0, 0.0), 0.0
    admitted: list[tuple[float, int]] = []
    for pause, tokens in calls:
        now += pause
        if limiter.admit(tokens, now) is None:
            admitted.append((now, tokens))
    rate, capacity = per_minute / 60, per_minute / 10
    for first in range(len(admitted)):
        total = largest = 0
        for at, tokens in admitted[first:]:
            total, largest = total + tokens, max(largest, tokens)
            inflow = rate * (at - admitted[first][0])
            assert total <= capacity + inflow + max(0.0, largest - capacity) + 1e-3


@given(st.floats(1, 10_000), st.floats(1, 1_000_000), calls)
def test_a_refusal_debits_nothing(rpm: float, tpm: float, calls: list[tuple[float, int]]) -> None:
    """Two limiters agree for ever if one of them is also asked for calls that are refused."""
    limits = Limits(requests_per_minute=rpm, tokens_per_minute=tpm)
    plain, pestered = Limiter(limits, 1.0, 6.0, 0.0), Limiter(limits, 1.0, 6.0, 0.0)
    now = 0.0
    for pause, tokens in calls:
        now += pause
        refusal = plain.admit(tokens, now)
        assert pestered.admit(tokens, now) == refusal
        if refusal is not None:
            for _ in range(3):
                assert pestered.admit(tokens, now) == refusal


@given(st.floats(1, 10_000), st.floats(1, 1_000_000), calls)
def test_the_wait_of_a_refusal_is_enough(rpm: float, tpm: float, calls: list[tuple[float, int]]) -> None:
    """A call that comes again after the seconds it was told to wait is admitted, if no other came between."""
    limiter = Limiter(Limits(requests_per_minute=rpm, tokens_per_minute=tpm), 1.0, 6.0, 0.0)
    now = 0.0
    for pause, tokens in calls:
        now += pause
        refusal = limiter.admit(tokens, now)
        if refusal is not None:
            assert refusal.seconds > 0
            now += refusal.seconds
            assert limiter.admit(tokens, now) is None


def test_the_refusal_names_the_limit_that_binds() -> None:
    """Each limit alone refuses in its own name, and of several the one with the longest wait."""
    requests = Limiter(Limits(requests_per_minute=60), 1.0, 6.0, 0.0)
    assert requests.admit(10, 0.0) is None
    refusal = requests.admit(10, 0.0)
    assert refusal is not None
    assert refusal.limit == "requests_per_minute"
    assert 1.0 < refusal.seconds <= 1.002

    tokens = Limiter(Limits(requests_per_minute=60, tokens_per_minute=600), 1.0, 6.0, 0.0)
    assert tokens.admit(60, 0.0) is None
    refusal = tokens.admit(30, 0.0)
    assert refusal is not None
    assert refusal.limit == "tokens_per_minute"
    assert 3.0 < refusal.seconds <= 3.002


def test_concurrency_counts_calls_until_they_are_released() -> None:
    """As many calls as the limit are in flight at once, and a released one makes room for the next."""
    limiter = Limiter(Limits(concurrent_requests=2), 1.0, 6.0, 0.0)
    assert limiter.admit(1, 0.0) is None
    assert limiter.admit(1, 0.0) is None
    refusal = limiter.admit(1, 0.0)
    assert refusal is not None
    assert refusal.limit == "concurrent_requests"
    assert refusal.seconds == CONCURRENCY_WAIT_SECONDS
    assert limiter.in_flight == 2
    limiter.release()
    assert limiter.admit(1, 0.0) is None


def test_an_amount_above_the_capacity_leaves_debt() -> None:
    """A call larger than the bucket is admitted when it is full, and the next one waits until it is paid off."""
    bucket = Bucket(600, 6.0, 0.0)
    assert bucket.wait_seconds(100, 0.0) == 0.0
    bucket.take(100, 0.0)
    assert bucket.level(0.0) == -40
    assert 5.0 < bucket.wait_seconds(10, 0.0) <= 5.002


def test_no_limits_refuse_nothing() -> None:
    """Without limits every call is admitted."""
    limiter = Limiter(Limits(), 1.0, 6.0, 0.0)
    assert all(limiter.admit(1_000_000, 0.0) is None for _ in range(100))


def test_limits_change_without_a_new_burst() -> None:
    """A raised limit does not fill the bucket, a lowered one cuts it, and a removed one is gone."""
    limiter = Limiter(Limits(tokens_per_minute=600), 1.0, 6.0, 0.0)
    assert limiter.admit(60, 0.0) is None
    limiter.change(Limits(tokens_per_minute=6_000), 0.0)
    assert limiter.refusal(10, 0.0) is not None
    limiter.change(Limits(tokens_per_minute=60), 100.0)
    assert limiter.tokens is not None
    assert limiter.tokens.level(100.0) == 6
    limiter.change(Limits(), 100.0)
    assert limiter.admit(1_000_000, 100.0) is None
