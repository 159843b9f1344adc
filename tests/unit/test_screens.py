"""What is drawn: whatever the job and the terminal, it fits, and tells the ledger's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text
from watched import model, status, watched

from console.reading.fleet import FleetView, ModelView
from console.reading.time_left import Left
from console.reading.watching import FIELDS, as_json
from console.reading.workers import Worker
from console.screens.job import drawing
from console.screens.jobs import ordered, table
from console.screens.line import plain
from console.screens.page import page
from console.screens.parts import flow
from console.screens.top import screen
from ledger.budget import Books
from ledger.status import Status

CAUSES = ("again:rate_limited", "again:http_500", "rejected:invalid", "rejected:refused", "again:worker_lost")
STATES = ("running", "paused", "budget", "stopped", "cancelled", "complete")
sizes = st.tuples(st.integers(40, 160), st.integers(4, 60))


@st.composite
def statuses(draw: st.DrawFn) -> Status:
    """Any job, of any size and state."""
    total = draw(st.integers(1, 10_000_000))
    accepted = draw(st.integers(0, total))
    rejected = draw(st.integers(0, total - accepted))
    running = draw(st.integers(0, min(500, total - accepted - rejected)))
    cost = draw(st.integers(0, 10**14))
    return status(
        job=draw(st.text("abc_", min_size=1, max_size=40)) + "-0123456789",
        state=draw(st.sampled_from(STATES)),
        total=total,
        accepted=accepted,
        rejected=rejected,
        running=running,
        waiting=total - accepted - rejected - running,
        cost_nano_usd=cost,
        cost_usd=cost / 1e9,
        unknown_usd=draw(st.sampled_from([0.0, 0.0123])),
        budget_usd=draw(st.none() | st.floats(0.01, 100_000)),
        reasons=draw(st.dictionaries(st.sampled_from(CAUSES), st.integers(1, 1_000_000))),
        note=draw(st.none() | st.just("the account is empty; pay, then resume the job")),
        duplicates=draw(st.integers(0, 2)),
        uncollected=draw(st.integers(0, 5)),
    )


def shown(lines: Sequence[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def fits(lines: Sequence[Text], width: int) -> bool:
    return all(len(line) <= width and "\n" not in line.plain for line in lines)


@settings(max_examples=60)
@given(statuses(), sizes, st.sampled_from([None, Left(1, 2, 3), Left(10**4, 10**5, float("inf"))]), st.booleans())
def test_a_job_fits_any_terminal(of: Status, size: tuple[int, int], left: Left | None, ended: bool) -> None:
    """No line is wider than the terminal, there are no more than it has, and the job is told in the first."""
    width, height = size
    lines = drawing(watched(of, left=left, recent=of.reasons), width, height, ["Away."], ended=ended)
    assert fits(lines, width)
    assert 1 <= len(lines) <= height
    assert of.job[0] == lines[0].plain[0]
    assert lines[0].plain.endswith(of.state)


@settings(max_examples=40)
@given(statuses(), st.integers(60, 160))
def test_a_page_tells_all_there_is(of: Status, width: int) -> None:
    """The counts, the causes and the note of a job are on its page, which is no wider than the terminal."""
    lines = page(watched(of), width)
    assert fits([line for line in lines if "genfleet" not in line.plain], width)
    text = " ".join(shown(lines).split())
    assert f"{of.accepted:,} accepted · {of.rejected:,} rejected" in text
    assert all(f"{count:,} {name.partition(':')[2].replace('_', ' ')}" in text for name, count in of.reasons.items())
    assert of.note is None or all(word in text for word in of.note.split())


@given(st.lists(statuses(), max_size=8, unique_by=lambda one: one.job), sizes)
@settings(max_examples=30)
def test_all_jobs_fit_one_screen(many: list[Status], size: tuple[int, int]) -> None:
    """What does not fit is counted; without a height all are there."""
    width, height = size
    views = {one.job: watched(one).job for one in many if one.state == "running"}
    lines = table(ordered(many), views, width, height)
    assert fits(lines, width)
    # The first job is always there, with its note.
    assert len(lines) <= max(height, 6)
    every = shown(table(ordered(many), views, 1000))
    assert all(one.job in every for one in many)


def test_running_jobs_are_on_top() -> None:
    """Of the running, and of the others, the newest first."""
    states = {"e": "complete", "d": "running", "c": "paused", "b": "running", "a": "complete"}
    order = ordered([status(job=job, state=state) for job, state in states.items()])
    assert [one.job for one in order] == ["d", "b", "e", "c", "a"]


def test_a_job_at_eighty_columns() -> None:
    """Every figure that people decide by, in the words that they read."""
    of = status(reasons={"again:rate_limited": 9, "rejected:invalid": 5}, budget_usd=1.2, unknown_usd=0.01)
    lines = shown(
        drawing(
            watched(of, waited={"requests": 1.0}, recent={"again:rate_limited": 2}, share=0.5, per_day=10**10), 80, 30
        )
    )
    for told in (
        "25%  25 of 100",
        "20 accepted · 5 rejected · 9 tried again · 10 in flight",
        "30.0/min now · 25.0/min over 60 s",
        "2.5 min (1.7 to 3.7 min) · the budget lasts 2.5 min",
        "$0.5000 of $1.20 · $0.1000 reserved · $0.0100 unknown",
        "$3.00 of $10.00 today, all jobs",
        "$2.01 in all, probably",
        "the budget pays for about 59 of 100",
        "90 of 50/min ← binds",
        "40k of 40k/min",
        "12 of 50",
        "429s have left 50% of the limits",
        "2 live · 12 calls in flight",
        "9  rate limited tried again  +2 in the last minute",
        "5  invalid rejected",
    ):
        assert told in lines


def test_a_job_at_forty_columns() -> None:
    """The same figures without bars beside them."""
    lines = shown(drawing(watched(waited={"tokens": 1.0}), 40, 40))
    assert f"25%{'25 of 100':>37}" in lines
    assert "requests  90 of 100/min" in lines
    assert "tokens    40k of 80k/min ←" in lines


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"workers": 0}, "No worker is alive: genfleet worker"),
        ({"waited": {}}, "workers bind: more of them would be faster"),
        ({"waited": {"pause": 0.4}}, "a pause after a 429 binds"),
        ({"left": None}, "time left  not known yet"),
    ],
)
def test_what_holds_a_job_back_is_told(more: dict[str, Any], told: str) -> None:
    """In the display, and as JSON by its name."""
    assert told in shown(drawing(watched(**more), 80, 40))


def test_the_last_drawing_tells_nothing_of_the_moment() -> None:
    """No limits, no time left, no rate of now."""
    lines = shown(drawing(watched(), 80, 40, ended=True))
    assert "limits" not in lines
    assert "left" not in lines
    assert "now" not in lines


def test_workers_that_are_starting_are_no_reason_to_start_some() -> None:
    """While `genfleet run` brings its own, nobody is told to."""
    lines = shown(drawing(watched(workers=0), 80, 40, starting=True))
    assert "workers    starting" in lines
    assert "genfleet worker" not in lines


def test_a_job_in_a_line() -> None:
    """Where there is no terminal one line tells as much."""
    assert plain(watched(status(budget_usd=3.0), waited={"tokens": 1.0})) == (
        "quiz-1: 25 of 100 (20 accepted, 5 rejected), 10 in flight, 30.0/min now, 25.0/min over the run, "
        "$0.5000 of $3.00, 2.5 min (1.7 to 3.7 min) left, the limit on tokens binds; running"
    )
    assert plain(watched(status(state="complete"))).endswith("25.0/min over the run, $0.5000; complete")
    assert "no worker is alive" in plain(watched(workers=0))


@settings(max_examples=30)
@given(statuses())
def test_json_has_the_status_and_every_field_that_is_documented(of: Status) -> None:
    """The fields of a reading are those of `status --json` and those that `watch --help` tells of."""
    reading = as_json(watched(of, left=Left(1, 2, float("inf"))))
    assert reading.keys() == of.model_dump().keys() | FIELDS.keys()
    assert {name: reading[name] for name in of.model_dump()} == of.model_dump()
    assert reading["left_high_seconds"] is None


def fleet(workers: int = 3, models: int = 2, jobs: int = 2) -> FleetView:
    """A fleet of workers with calls, of models in use and idle, and of running jobs."""
    return FleetView(
        at=1_768_478_400.0,
        workers=[
            Worker(f"box-{n}-4242-ab12-{n}-c0ffee", Counter({"quiz-1": n}), Counter({"rag-2": 1}), 3.0 * n)
            for n in range(workers)
        ],
        models=[
            ModelView(
                f"maker/model-{n}",
                model(in_flight=0 if n else 12, requests=0 if n else 90, refused=9),
                {},
                2,
                Counter() if n else Counter({"quiz-1": 2, "rag-2": 1}),
                None if n else "tokens",
            )
            for n in range(models)
        ],
        jobs=[watched(status(job=f"quiz-{n}")).job for n in range(jobs)],
        books=Books(10**10, 3 * 10**9, 10**8, 10**7),
    )


@settings(max_examples=40)
@given(st.integers(0, 200), st.integers(0, 8), st.integers(0, 30), sizes)
def test_the_fleet_fits_any_terminal(workers: int, models: int, jobs: int, size: tuple[int, int]) -> None:
    """No line is wider than the terminal, and there are no more than it has."""
    width, height = size
    lines = screen(fleet(workers, models, jobs), width, height, ["Away."])
    assert fits(lines, width)
    assert len(lines) <= height


def test_the_fleet_in_one_screen() -> None:
    """Its totals, each model's limits and refusals, each worker's calls and heartbeat."""
    lines = shown(screen(fleet(), 100))
    for told in (
        "3 workers on 3 machines · 3 calls in flight · examples 60.0/min",
        "$72.00 an hour · $3.00 of $10.00 today (UTC) · $0.1000 reserved · $0.0100 unknown",
        "40k of 80k/min ← binds",
        "9 429s, 2 in the last minute · 100% of the limits in use · 3 lines of 2 jobs waiting",
        "maker/model-1  idle; 100/min requests, 80k/min tokens, 50 in flight",
        "quiz-1  ━━━━━━━━━━━━━━━━  25%  30.0/min  $36.00 an hour  2.5 min left",
        "box-2  4242 #2          2        1   6 s  quiz-1, rag-2",
    ):
        assert told in lines


def test_a_fleet_without_workers_says_so() -> None:
    """With the command that brings one."""
    assert "No worker is alive: genfleet worker" in shown(screen(fleet(workers=0), 80))


def test_facts_keep_their_own_colours_between_grey_dots() -> None:
    """Only what stands between them is grey: a figure is to be read."""
    (line,) = flow([Text("5 accepted"), Text("$1.00", "bold")], 40)
    styles = [(line.plain[span.start : span.end], span.style) for span in line.spans]
    assert line.style == ""
    assert (" · ", "bright_black") in styles
    assert ("$1.00", "bold") in styles
    assert not [text for text, style in styles if style == "bright_black" and text != " · "]
