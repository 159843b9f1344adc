"""The small parts of a report: numbers, charts as SVG, texts side by side, and the survey of examples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.report import distributions, figures, limits_picture, maps, over_time
from console.report.attempts import Histogram, Step, Timeline
from console.report.charts import COLOURS, Chart
from console.report.compared import compared
from console.report.coverage import axis_of, pair_of
from console.report.limits_use import LimitsUse, Use
from console.report.survey import Field, survey, texts
from ledger.part_files import PartDamaged
from ledger.storable import json_line

LINE = Timeline(
    0.0,
    900.0,
    [
        Step(10 * k % 7, k % 2, k % 3, 9, 900, 90 * k, 10**6 * k, (1.0, 2.0 + k, 40.0) if k % 4 else None)
        for k in range(30)
    ],
)
NASTY = "<script>alert(1)</script> & $x^{$ %"
PAIR = pair_of(
    axis_of(NASTY, [NASTY, "b"], [60, 40], 100), axis_of("other", ["x", "y", "z"], [30, 30, 40], 100),
    [[30, 30, 0], [0, 0, 40]], 100,
)  # fmt: skip
HISTOGRAM = Histogram(0.5, 9.0, [3, 0, 9, 1], (2.0, 5.0, 8.0), 120.0, 3.1, 13)
USED = LimitsUse(
    "ledger",
    [Use("tokens", 100_000.0, [(100.0, 0.5), (900.0, 1.0)], 0.75), Use("requests", 500.0, [(900.0, 0.1)], 0.1)],
    [(0.0, 300.0, "tokens"), (300.0, 500.0, "pause"), (500.0, 900.0, "requests")],
    {"tokens": 5},
    0,
    [],
)


def charts() -> list[Chart]:
    """One of each kind."""
    return [
        over_time.throughput(LINE),
        over_time.calls_in_flight(LINE, [float(k) for k in range(30)], 32),
        over_time.latency_over_time(LINE),
        over_time.cost_over_time(LINE, 0.5),
        over_time.tokens_over_time(LINE),
        limits_picture.limits_over_time(USED, 900.0),
        distributions.distribution(HISTOGRAM, "How long calls took", "seconds"),
        distributions.lengths(NASTY, [Field("testo_lungo", [5, 9, 900]), Field("b", [1])]),
        distributions.causes_bars([("http_500", 3, 0), (NASTY, 0, 1), ("timeout", 2, 2)]),
        maps.heat_map(PAIR),
    ]


def test_charts_follow_the_page() -> None:
    """Every chart is sound XML with a title and a description, texts as texts, and no colour or font of its own."""
    for chart in charts():
        root = ElementTree.fromstring(chart.svg)
        names = [child.tag.partition("}")[2] for child in root]
        assert names[:2] == ["title", "desc"]
        assert root[0].text == chart.title
        assert root[1].text
        assert root.get("role") == "img"
        assert "viewBox" in root.attrib
        assert "width" not in root.attrib
        assert [one for one in root.iter() if one.tag.endswith("text")]
        assert not re.search(
            r"#[0-9a-f]{6}\b|font-family|font:|<style|<script|<metadata|http://(?!www.w3.org)", chart.svg
        )
        assert set(re.findall(r"var\(--([a-z-]+)\)", chart.svg)) <= set(COLOURS)


def test_ids_are_each_charts_own() -> None:
    """Two charts on one page share no id, and each refers only to its own."""
    seen: set[str] = set()
    for chart in charts():
        ids = re.findall(r' id="([^"]+)"', chart.svg)
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', chart.svg))
        assert {one or other for one, other in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', chart.svg)} == set(ids)
        seen |= set(ids)


def test_texts_of_axes_are_only_texts() -> None:
    """A value that looks like markup or mathematics is drawn as it is."""
    drawn = maps.heat_map(PAIR).svg
    root = ElementTree.fromstring(drawn)
    written = [one.text for one in root.iter() if one.tag.endswith("text")]
    assert any(text and text.startswith("<script>alert") for text in written)


def test_a_chart_is_the_same_every_time() -> None:
    """The same figures give the same drawing, letter for letter."""
    assert over_time.throughput(LINE).svg == over_time.throughput(LINE).svg


def test_a_timeline_without_any_success_is_drawn() -> None:
    """A job of nothing but repeated calls has a curve too."""
    none = Timeline(0.0, 60.0, [Step(0, 0, 5, 5, 0, 0, 0, None)] * 3)
    for chart in (over_time.throughput(none), over_time.latency_over_time(none), over_time.cost_over_time(none, None)):
        ElementTree.fromstring(chart.svg)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (0.346, "0.35"), (0.00042, "0.00042"), (7.26, "7.3"), (12.6, "13"), (950, "950"),
                         (1234, "1.2k"), (3_400_000, "3.4M"), (25_000, "25k")],
)  # fmt: skip
def test_short_numbers(number: float, text: str) -> None:
    """An axis has room for a few digits."""
    assert figures.short(number) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (0.0004, "below 0.1%"), (0.043, "4.3%"), (0.5, "50%"), (0.985, "98.5%"),
                        (0.9999, "above 99.9%"), (1, "100%"), (1.02, "102%")],
)  # fmt: skip
def test_percentages_never_round_to_all_or_nothing(share: float, text: str) -> None:
    """What is not quite all does not read 100%, and what is not nothing does not read 0%."""
    assert figures.percent(share) == text


@given(st.lists(st.sampled_from("abc"), max_size=20), st.lists(st.sampled_from("abc"), max_size=20))
def test_compared_texts_are_whole(first: list[str], second: list[str]) -> None:
    """Side by side, each text keeps its words in order, and what both have is marked in neither."""
    ours, theirs = compared(" ".join(first), " ".join(second))
    assert " ".join(text for text, _ in ours).split() == first
    assert " ".join(text for text, _ in theirs).split() == second
    assert [text for text, own in ours if not own] == [text for text, own in theirs if not own]


def parts_of(folder: Path, count: int, each: int = 7) -> list[Path]:
    """Part files of examples whose text says their number."""
    paths = []
    for first in range(0, count, each):
        rows = [
            {
                "id": f"x-{k}",
                "index": k,
                "recipe": "small",
                "variables": {},
                "output": {"text": f"numero {k} " * 5, "n": k},
            }
            for k in range(first, min(count, first + each))
        ]
        paths.append(folder / f"part-{first}.jsonl")
        paths[-1].write_bytes(b"".join(map(json_line, rows)))
    return paths


def test_a_survey_looks_at_every_example(tmp_path: Path) -> None:
    """Ten are shown in their order, all are measured, and the same ones are shown for the same seed."""
    paths = parts_of(tmp_path, 40)
    found = survey(paths, 40, seed=3)
    assert [one["index"] for one in found.shown] == sorted(one["index"] for one in found.shown)
    assert len({one["id"] for one in found.shown}) == 10
    assert (found.total, found.looked, found.duplicates.texts) == (40, 40, 40)
    (field,) = found.fields["small"]
    assert sorted(field.lengths) == sorted(len(f"numero {k} " * 5) for k in range(40))
    assert survey(paths, 40, seed=3) == found
    assert survey(paths, 40, seed=4).shown != found.shown


def test_a_survey_of_many_is_a_sample(tmp_path: Path) -> None:
    """Beyond the most that are looked at it takes as many at random, and shows ten all the same."""
    found = survey(parts_of(tmp_path, 40), 40, seed=3, most=15)
    assert (found.total, found.looked, found.duplicates.texts, len(found.shown)) == (40, 15, 15, 10)


def test_a_survey_of_nothing_is_empty() -> None:
    """No part file, no example."""
    found = survey([], 0, seed=1)
    assert (found.total, found.looked, found.shown, found.fields, found.duplicates.texts) == (0, 0, [], {}, 0)


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    """A line that is not JSON raises with the file's path."""
    (path, *_) = parts_of(tmp_path, 3)
    path.write_text(path.read_text().replace('"output"', "output"))
    with pytest.raises(PartDamaged, match=re.escape(str(path))):
        survey([path], 3, seed=1)


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_texts_are_those_of_the_json(value: object) -> None:
    """Every text in a value is found in its order, and no name of a field."""

    def expected(one: object) -> list[str]:
        if isinstance(one, str):
            return [one]
        children = one.values() if isinstance(one, dict) else one if isinstance(one, list) else []
        return [text for child in children for text in expected(child)]

    assert list(texts(json.loads(json.dumps(value)))) == expected(value)
