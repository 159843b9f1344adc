"""The report as a browser shows it: on a desk, on a phone, in the dark and on paper."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from fleet_bench import Fleet
from report_reading import Report

from console.provider.answers import answer

#: Paper is A4 without its margins.
PHONE, DESKTOP, PAPER = 375, 1280, 688
#: What of the page is wider than the window, but for what scrolls by itself.
OUTSIDE = """[...document.querySelectorAll('body *')].filter((one) => !one.closest('.scroll, svg'))
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A browser of the test's own."""
    with Browser(tmp_path) as browser:
        yield browser


def test_a_report_is_one_file_that_fits_every_window_and_paper(alone: Fleet, browser: Browser) -> None:
    """It comes with the run, asks for nothing, complains of nothing, follows the theme, and every chart is drawn."""
    alone.provide(answer, latency_seconds=0.2, faults={"500": 0.1, "malformed": 0.1})
    run = alone.genfleet("run", "quiz", "--count", "80", "--workers", "1", "--concurrency", "20")
    found = re.search(r"^Report: (.+)$", run.err, re.MULTILINE)
    assert found is not None
    report = Report(alone.folder / found[1])
    assert report.number("total") == 80
    address = (alone.folder / found[1]).as_uri()
    grounds = set()
    for width in (PHONE, DESKTOP):
        for dark in (False, True):
            browser.look(width, dark=dark)
            browser.open(address)
            assert browser.run("document.documentElement.scrollWidth") <= width
            assert browser.run(OUTSIDE) == []
            grounds.add(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    charts = browser.run(
        "[...document.querySelectorAll('figure svg')].map((one) => one.getBoundingClientRect().height)"
    )
    assert len(charts) >= 8
    assert min(charts) > 50
    words = browser.text()
    assert f"{int(report.number('accepted'))}\naccepted of 80" in words
    assert "http 500" in words
    # On paper it is light, whatever the screen is, and no chart is taller than a page.
    browser.look(PAPER, dark=True)
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.ask("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run(OUTSIDE) == []
    assert max(browser.run("[...document.querySelectorAll('figure')].map((one) => one.offsetHeight)")) < 960
    paper = base64.b64decode(browser.ask("Page.printToPDF", {"printBackground": True})["data"])
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 20
    assert set(browser.asked) == {address}
    assert browser.complaints == []
