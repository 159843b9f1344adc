"""Flower's Jobs tab in a real browser, beside a fleet at work: what it shows, and that it stays true meanwhile."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from browser import Browser
from fleet_bench import MODEL, Fleet
from flower_looks import Shown, fleet_of_its_own

from console.reading.words import dollars
from ledger import latest
from ledger.status import Status

PHONE, DESKTOP = 375, 1280
EXAMPLES = 250
FAULTS = {"malformed": 0.1, "refused": 0.04, "500": 0.1}
#: An answer that would act in a page that takes it for HTML.
NASTY = "<img src=x onerror=alert(1)> È una prova."


def nasty(name: str, schema: object, messages: object, rng: random.Random) -> str:
    """An answer with HTML in it, and a number so that no two are the same."""
    return json.dumps({"question": f"Che cos'è <b>{rng.random()}</b>?", "answer": NASTY}, ensure_ascii=False)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two workers on a model of which requests a minute bind, with a provider that fails now and then."""
    with fleet_of_its_own(tmp_path_factory.mktemp("fleet")) as fleet:
        fleet.declare({MODEL: {"requests_per_minute": 1_800}})
        fleet.provide(nasty, latency_seconds=0.3, faults=FAULTS)
        fleet.worker(processes=2)
        yield fleet


@pytest.fixture(scope="module")
def shown(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Flower, which knows the workers, and a browser in front of it."""
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        shown = Shown(fleet, browser)
        fleet.until_joined(2)
        shown.until_known(2)
        yield shown


@pytest.fixture(scope="module")
def job(fleet: Fleet, shown: Shown) -> str:
    """A job that has just begun."""
    return fleet.submit("small", "--count", str(EXAMPLES), "--budget", "5")


@pytest.fixture
def status(fleet: Fleet, job: str) -> Status:
    """The job's last reading, when it is complete."""
    return fleet.until_state(job, "complete")


@pytest.fixture
def browser(shown: Shown) -> Iterator[Browser]:
    """The browser, which must have nothing to complain of."""
    shown.browser.look(DESKTOP)
    yield shown.browser
    assert shown.browser.complaints == []
    asked = shown.browser.asked
    assert all(url.startswith((shown.root, "data:", "about:")) for url in asked), asked


def figure(text: str) -> int:
    """A whole number as a page shows it."""
    return int(text.replace(",", ""))


def again(status: Status) -> int:
    """Calls that failed and were made again."""
    return sum(count for cause, count in status.reasons.items() if cause.startswith("again:"))


def test_the_tab_shows_what_the_ledger_counts_and_keeps_up_with_it(
    fleet: Fleet, shown: Shown, browser: Browser, job: str
) -> None:
    """Counts, cost, causes, limits, workers and charts are the ledger's, first while it works and again at its end."""
    browser.open(shown.root)
    shown.open()
    browser.run("window.kept = true")
    shown.until_card(
        job, lambda card: figure(card["accepted"]) > 0 and card["binds"] == "requests a minute", "it binds"
    )
    assert browser.run("document.querySelectorAll('#workers tr[data-worker]').length") == 2
    assert "of 1,800" in browser.run(f"document.querySelector('tr[data-model=\"{MODEL}\"]').innerText")
    assert "s ago" in browser.run("document.querySelector('#workers .heartbeat').innerText")

    status = fleet.until_state(job, "complete")
    assert status.rejected
    assert status.reasons["again:http_500"]
    card = shown.until_card(job, lambda card: card["state"] == "complete", "the page says that it is complete")
    counted = {"accepted": status.accepted, "rejected": status.rejected, "running": 0, "waiting": 0, "total": EXAMPLES}
    assert {name: figure(card[name]) for name in counted} == counted
    assert figure(card["failed"]) == again(status)
    assert card["cost"].startswith(f"{dollars(status.cost_usd)}of $5.00")
    assert card["recipe"] == "small"
    causes = shown.causes(job)
    assert causes.keys() == status.reasons.keys()
    assert all(f"{count} " in causes[cause] for cause, count in status.reasons.items())
    assert "InvalidOutput" in causes["rejected:invalid"]
    assert "ProviderError" in causes["again:http_500"]
    browser.until("document.querySelectorAll('.uplot canvas').length === 3", "all charts are drawn")
    assert browser.run("window.kept"), "the page was loaded again"


@pytest.mark.usefixtures("status")
def test_the_tab_is_first_on_every_page(shown: Shown, browser: Browser, job: str) -> None:
    """It is the first of Flower's own tabs, and a job's page is an ordinary link away from it."""
    for path in ("/workers", "/tasks", "/broker"):
        browser.open(shown.root + path)
        assert browser.run("document.querySelector('.navbar-nav .nav-link').innerText") == "Jobs"
    browser.click(".navbar-nav .nav-link")
    browser.until("location.pathname === '/jobs'", "the tab is open")
    browser.click(f"#job-{job} h2 a")
    browser.until(f"location.pathname === '/jobs/{job}'", "the job's page is open")


def test_a_chart_tells_its_values_under_the_pointer(shown: Shown, browser: Browser, job: str, status: Status) -> None:
    """The legend has the last values, and those of a moment while the pointer is over it."""
    shown.open(f"/jobs/{job}")
    browser.until("document.querySelectorAll('.uplot canvas').length === 3", "all charts are drawn")
    told = "document.querySelector('[data-chart=money] .u-legend').innerText"
    cost = dollars(status.cost_usd)
    assert cost in browser.until(f"{told}.includes('$') && {told}", "the legend tells of the last moment")
    over = browser.run(
        "(() => { const at = document.querySelector('[data-chart=money] .u-over');"
        " at.scrollIntoView({behavior: 'instant'});"
        " const box = at.getBoundingClientRect(); return [box.x + 3, box.y + box.height / 2]; })()"
    )
    browser.point(*over)
    browser.until(f"!{told}.includes('{cost}') && {told}.includes('$0.00')", "the legend tells of the first moment")


@pytest.mark.usefixtures("status")
def test_a_jobs_page_has_its_newest_examples_to_be_read(fleet: Fleet, shown: Shown, browser: Browser, job: str) -> None:
    """The accepted as people read them, not as JSON, the rejected with reason and raw answer, and none of it HTML."""
    shown.open(f"/jobs/{job}")
    browser.until("document.querySelectorAll('#accepted details').length > 0", "examples are there")
    read = browser.run("document.getElementById('accepted').innerText")
    assert "Che cos'è <b>0." in read
    assert NASTY in read
    assert '{"' not in read
    assert browser.run("document.querySelectorAll('#accepted details').length") == latest.ACCEPTED
    browser.until("document.querySelectorAll('.uplot canvas').length >= 2", "charts are drawn")
    browser.click("#rejected details:has(code) summary")
    kept = latest.read(fleet.redis, job).causes
    raw = browser.until("document.querySelector('#rejected details[open] .raw')?.innerText", "a raw answer is shown")
    assert raw in [one["raw"] for cause in kept.values() for one in cause if one.get("raw")]
    assert kept["rejected:invalid"][0]["detail"] in browser.run("document.getElementById('rejected').innerText")


def test_flowers_own_list_names_examples_and_failures(shown: Shown, browser: Browser, job: str, status: Status) -> None:
    """Its tasks are recipe, example and model, their failures have the cause's class, and attempts count as retries."""
    browser.open(f"{shown.root}/tasks?state=FAILURE")
    browser.until("document.body.innerText.includes('Refused(')", "the list names the failure")
    rows = browser.run("[...document.querySelectorAll('#tasks-table tbody tr')].map((row) => row.innerText)")
    assert all("small, example " in row for row in rows)
    assert all(MODEL in row for row in rows)
    assert browser.run("document.querySelector('#tasks-table tbody td a').innerText").startswith(f"{job}-")
    browser.open(f"{shown.root}/tasks")
    browser.until("document.querySelector('#tasks-table tbody tr td:nth-child(4)') !== null", "the list is filled")

    def tasks() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = browser.run(
            "fetch('tasks/datatable?draw=1&start=0&length=1000&search[value]=&order[0][column]=0&order[0][dir]=asc"
            "&columns[0][data]=name').then((answer) => answer.json()).then((read) => read.data)"
        )
        # Events come in batches, some time after what they tell of.
        return found if all(one["state"] in ("SUCCESS", "FAILURE") for one in found) else []

    listed = browser.eventually(tasks, "Flower has the last event of every task")
    assert len(listed) == EXAMPLES
    assert sum(one["retries"] or 0 for one in listed) == again(status)
    assert sum(one["state"] == "FAILURE" for one in listed) == status.rejected


@pytest.mark.usefixtures("status")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_fit_a_phone_and_follow_the_theme(shown: Shown, browser: Browser, job: str, dark: bool) -> None:
    """Nothing is wider than the window, and text stands out from its ground, in Flower's light and dark."""
    for path in ("/jobs", f"/jobs/{job}"):
        for width in (PHONE, DESKTOP):
            browser.look(width, dark=dark)
            shown.open(path)
            assert browser.run("document.documentElement.dataset.bsTheme") == ("dark" if dark else "light")
            browser.until("document.querySelectorAll('.uplot canvas').length >= 2", "charts are drawn")
            assert browser.run("document.documentElement.scrollWidth") <= width
            assert browser.run(OUTSIDE) == []
            assert browser.run(CONTRAST) == []


#: What of a page is beyond the right edge of the window, but for what scrolls by itself.
OUTSIDE = """[...document.querySelectorAll('.jobs-page *')]
  .filter((one) => !one.closest('.table-responsive, .raw, .scroll'))
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((one) => one.outerHTML.slice(0, 80))"""
#: The texts of a page with less contrast than 4.5 to their ground (WCAG 2.2, success criterion 1.4.3).
CONTRAST = """(() => {
  const parts = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const part = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const found = parts(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const contrast = (one) => {
    const [a, b] = [light(parts(getComputedStyle(one).color)), light(ground(one))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const said = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll('.jobs-page *')]
    .filter((one) => said(one) && one.getClientRects().length && contrast(one) < 4.5)
    .map((one) => `${one.className} ${one.innerText.slice(0, 30)} ${contrast(one)}`);
})()"""
