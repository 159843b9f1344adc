"""What holds a model back, and what a job comes to."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watched import model, status

from console.reading.binding import binding, gauges, waits, waits_between
from console.reading.money import forecast
from console.reading.workers import Worker


def test_gauges_show_use_against_what_refusals_have_left() -> None:
    """A share of a half halves the limits a minute; calls in flight keep theirs."""
    requests, tokens, concurrent = gauges(model(share=0.5))
    assert (requests.limit, tokens.limit, concurrent.limit) == (50, 40_000, 50)
    assert (requests.share, tokens.share, concurrent.share) == (1.8, 1.0, 0.24)
    assert [one.share for one in gauges(model(rpm=None, tpm=None, concurrent=None))] == [None] * 3


def test_what_was_waited_for_longest_binds() -> None:
    """Of the last minute alone: what bound an hour ago is over."""
    readings = [
        model(0, {"requests": 900_000}),
        model(3600, {"requests": 900_000, "tokens": 1_000}),
        model(3660, {"requests": 903_000, "tokens": 61_000}),
    ]
    found = waits(readings)
    assert found == {"requests": pytest.approx(0.05), "tokens": pytest.approx(1.0)}
    assert binding(found) == "tokens"


def test_a_wait_now_and_then_binds_nothing() -> None:
    """The pace of a limit is felt by a call or two; then too few workers hold back what is queued."""
    felt = waits([model(0), model(60, {"requests": 2_000})])
    assert binding(felt, queued=30) == "workers"
    assert binding(felt) is None
    assert binding({}) is None


def test_one_reading_tells_no_wait_and_two_that_are_far_apart_do() -> None:
    """A span shorter than the readings' distance is measured over that."""
    assert waits([model(0, {"tokens": 5_000})]) == {}
    assert waits([model(0), model(100, {"tokens": 50_000})]) == {"tokens": 0.5}


@given(st.dictionaries(st.sampled_from(["requests", "tokens", "concurrent", "pause", "budget"]), st.integers(0, 10**9)))
def test_no_time_and_no_growth_are_no_wait(waited: dict[str, int]) -> None:
    """Whatever was waited in all."""
    assert waits_between(waited, waited, 60) == waits_between({}, waited, 0) == {}


def test_the_rest_costs_what_the_settled_did() -> None:
    """25 of 100 for half a dollar make two; a budget of two lasts, one of 1.20 pays for 60."""
    assert forecast(status()) == (pytest.approx(2.0), None)
    assert forecast(status(budget_usd=2.0)) == (pytest.approx(2.0), None)
    assert forecast(status(budget_usd=1.2)) == (pytest.approx(2.0), 60)


def test_what_is_unknown_is_charged() -> None:
    """The most that lost calls may have cost is part of what the job comes to, and of what the budget has left."""
    assert forecast(status(unknown_usd=0.4, budget_usd=1.2)) == (pytest.approx(2.4), 40)


def test_no_forecast_before_anything_was_paid_for() -> None:
    """No settled example, or none that cost."""
    assert forecast(status(accepted=0, rejected=0)) is None
    assert forecast(status(cost_usd=0.0, cost_nano_usd=0)) is None


@given(st.integers(0, 99), st.floats(0.01, 50), st.floats(0, 5), st.floats(0.01, 100))
def test_a_budget_pays_for_no_more_than_there_is(settled: int, cost: float, unknown: float, budget: float) -> None:
    """Examples that the budget pays for are at least those settled, and at most all."""
    found = forecast(
        status(
            accepted=settled,
            rejected=1,
            cost_usd=cost,
            cost_nano_usd=round(cost * 1e9),
            unknown_usd=unknown,
            budget_usd=budget,
        )
    )
    assert found is not None
    assert found.examples is None or settled + 1 <= found.examples <= 100
    assert (found.examples is None) == (found.cost_usd <= budget)


@pytest.mark.parametrize(
    ("name", "host", "process"),
    [
        ("box-4242-c0ffee", "box", "4242"),
        ("web-1.example.org-4242-ab12-3-c0ffee", "web-1.example.org", "4242 #3"),
        ("web-1-4242-c0ffee", "web-1", "4242"),
        ("mine", "mine", ""),
    ],
)
def test_a_workers_name_tells_its_machine(name: str, host: str, process: str) -> None:
    """Host names may have hyphens and digits; a worker that a person has named is its own machine."""
    worker = Worker(name, Counter(), Counter(), 0)
    assert (worker.host, worker.process) == (host, process)


def test_a_workers_jobs_are_those_it_holds_examples_of() -> None:
    """With most first, waiting or in flight."""
    assert Worker("w", Counter(a=1, b=5), Counter(c=2, a=1), 0).jobs == ["b", "a", "c"]
