"""What fits into so many columns, and figures in words."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watched import status

from console.reading import words
from console.reading.binding import Gauge
from console.reading.layout import cells, fitting, flowed, kept, shortened
from console.reading.next_step import enough, next_steps
from console.reading.time_left import Left

widths = st.integers(0, 200)


@given(widths, st.lists(st.integers(0, 1000), max_size=4), st.integers(0, 1000))
def test_a_bar_is_as_long_as_it_is_wide(width: int, parts: list[int], missing: int) -> None:
    """It is full only when nothing is missing, and every part of something is seen where there is room."""
    total = sum(parts) + missing
    shares = cells(width, parts, total)
    assert sum(shares) <= width
    assert all(share >= 0 for share in shares)
    if width and total:
        assert (sum(shares) == width) == (missing == 0)
    if width > 2 * len(parts):
        assert [share > 0 for share in shares] == [part > 0 for part in parts]


def test_a_bar_is_in_proportion() -> None:
    """Half is half, whatever rounding leaves over."""
    assert cells(40, [50, 25], 100) == [20, 10]
    assert cells(3, [1, 1, 1], 3) == [1, 1, 1]
    assert cells(10, [999, 1], 1000) == [9, 1]


@given(st.lists(st.text("ab ", min_size=1, max_size=30), max_size=12), st.integers(1, 60))
def test_facts_flow_in_order_and_within_the_width(items: list[str], width: int) -> None:
    """Each stands once, in order, and a line of several is no longer than the width."""
    lines = flowed(items, width)
    assert [place for line in lines for place in line] == list(range(len(items)))
    assert all(len(" · ".join(items[place] for place in line)) <= width for line in lines if len(line) > 1)


@given(st.text(max_size=60), widths)
def test_a_shortened_name_keeps_its_ends(name: str, width: int) -> None:
    """It is never longer than asked, and whole where it fits."""
    short = shortened(name, width)
    assert len(short) <= width or short == ""
    assert (short == name) == (len(name) <= width) or "…" in name
    if len(name) > width > 4:
        assert name.startswith(short[:2])
        assert name.endswith(short[-1])


@given(st.lists(st.tuples(st.text(min_size=1), st.integers(0, 40)), unique_by=lambda one: one[0]), widths)
def test_columns_that_fit(columns: list[tuple[str, int]], width: int) -> None:
    """They come in their order, within the width, and the first is never left out."""
    names = fitting(width, columns)
    order = [name for name, _ in columns]
    assert names == [name for name in order if name in names]
    if columns:
        assert names[0] == order[0]
    if len(names) > 1:
        assert sum(dict(columns)[name] for name in names) + 2 * (len(names) - 1) <= width


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1), st.integers(0, 40))
def test_what_matters_least_goes_first(blocks: list[tuple[int, int]], room: int) -> None:
    """What is shown fits, or is one block; nothing that went ranks before what stays."""
    places = kept(blocks, room)
    assert len(places) == 1 or sum(blocks[place][1] for place in places) <= room
    gone = [rank for place, (rank, _) in enumerate(blocks) if place not in places]
    assert not gone or min(gone) >= max(blocks[place][0] for place in places)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (89, "89 s"), (150, "2.5 min"), (720, "12 min"), (9_000, "2.5 h"), (200_000, "2.3 d")],
)
def test_times_that_are_only_known_roughly(seconds: float, said: str) -> None:
    """One unit, two figures."""
    assert words.about(seconds) == said


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (Left(600, 720, 900), "12 min (10 to 15 min)"),
        (Left(50, 80, 126), "80 s (50 s to 2.1 min)"),
        (Left(600, 720, math.inf), "12 min (10 min or more)"),
    ],
)
def test_a_range_in_words(left: Left, said: str) -> None:
    """The unit is said once where it is the same, and an end that is not known is said."""
    assert words.left(left) == said


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.rate(0), "0/min"),
        (words.rate(118.4), "118/min"),
        (words.rate(2.36), "2.4/min"),
        (words.rate(0.25), "15.0/h"),
        (words.short(950), "950"),
        (words.short(31_249), "31.2k"),
        (words.short(250_000), "250k"),
        (words.short(1_400_000), "1.4M"),
        (words.percent(0, 500), "0%"),
        (words.percent(1, 5000), "0.1%"),
        (words.percent(4999, 5000), "99.9%"),
        (words.percent(500, 500), "100%"),
        (words.budget(0.8), "$0.80"),
        (words.budget(0.125), "$0.1250"),
        (words.use(Gauge("requests", 118, 120.0)), "118 of 120/min"),
        (words.use(Gauge("tokens", 31_249, None)), "31.2k/min"),
        (words.use(Gauge("concurrent", 4, 60)), "4 of 60"),
        (words.counted(1, "call in flight"), "1 call in flight"),
        (words.counted(1200, "call in flight"), "1,200 calls in flight"),
        (words.span(200_000), "2 d 8 h"),
    ],
)
def test_figures_in_words(said: str, expected: str) -> None:
    """Three figures are enough, and nothing is all or nothing before it is."""
    assert said == expected


@pytest.mark.parametrize(
    ("more", "around", "commands"),
    [
        ({}, {}, []),
        ({}, {"workers": 0}, ["genfleet worker"]),
        ({"enqueued": 40}, {"fed": False}, [""]),
        ({"state": "paused"}, {}, ["genfleet resume quiz-1", "genfleet retry quiz-1"]),
        ({"state": "stopped", "rejected": 0}, {}, ["genfleet resume quiz-1"]),
        ({"state": "budget", "rejected": 0, "budget_usd": 0.8}, {}, ["genfleet resume quiz-1 --budget 2.8"]),
        ({"state": "budget", "rejected": 0, "budget_usd": 9.0}, {}, ["genfleet resume quiz-1 --budget 9.9"]),
        ({"state": "budget", "rejected": 0, "note": "of the day"}, {}, ["genfleet resume quiz-1"]),
        ({"state": "complete", "rejected": 0}, {}, ["genfleet export quiz-1 --to FILE.jsonl"]),
        (
            {"state": "complete", "uncollected": 7},
            {},
            ["genfleet export quiz-1 --to FILE.jsonl", "genfleet retry quiz-1", "genfleet collect quiz-1"],
        ),
    ],
)
def test_what_helps_a_job_on(more: dict[str, Any], around: dict[str, Any], commands: list[str]) -> None:
    """Nothing while it goes well; else the commands, the most pressing first."""
    assert [step.command for step in next_steps(status(**more), **around)] == commands


@given(st.floats(1e-6, 1e6))
def test_a_budget_that_is_enough(cost: float) -> None:
    """It is more than the cost by a tenth, by a fifth more at most of what two figures cannot say."""
    assert cost * 1.0999 <= float(enough(cost)) <= cost * 1.22
