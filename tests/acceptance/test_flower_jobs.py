"""Flower's Jobs tab in a real browser, beside a fleet at work: what it shows, and that it stays true meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from fleet_bench import MODEL, Fleet
from flower_looks import Shown

from console.progress import dollars
from ledger import latest

PHONE, DESKTOP = 375, 1280


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A browser of the test's own."""
    with Browser(tmp_path) as browser:
        yield browser


def figure(text: str) -> int:
    """A whole number as a page shows it."""
    return int(text.replace(",", ""))


def test_the_tab_shows_what_the_ledger_counts_and_keeps_up_with_it(fleet: Fleet, browser: Browser) -> None:
    """Counts, cost, causes, limits, workers and charts are the ledger's, first while it works and again at its end."""
    fleet.declare({MODEL: {"requests_per_minute": 1_800}})
    fleet.provide(latency_seconds=0.3, faults={"malformed": 0.1, "500": 0.1})
    shown = Shown(fleet, browser)
    fleet.worker(processes=2)
    fleet.until_joined(2)
    job = fleet.submit("small", "--count", "250", "--budget", "5")
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
    counted = {"accepted": status.accepted, "rejected": status.rejected, "running": 0, "waiting": 0, "total": 250}
    assert {name: figure(card[name]) for name in counted} == counted
    assert figure(card["failed"]) == sum(n for cause, n in status.reasons.items() if cause.startswith("again:"))
    assert card["cost"].startswith(f"{dollars(status.cost_usd)}of $5.00")
    assert card["recipe"] == "small"
    causes = shown.causes(job)
    assert causes.keys() == status.reasons.keys()
    assert all(f"{count} " in causes[cause] for cause, count in status.reasons.items())
    assert "InvalidOutput" in causes["rejected:invalid"]
    assert "ProviderError" in causes["again:http_500"]
    browser.until("document.querySelectorAll('.uplot canvas').length === 3", "all charts are drawn")
    assert browser.run("window.kept"), "the page was loaded again"
    assert browser.complaints == []
    assert all(url.startswith((shown.root, "data:", "about:")) for url in browser.asked), browser.asked


def test_a_chart_tells_its_values_under_the_pointer(fleet: Fleet, browser: Browser) -> None:
    """The legend has the last values, and those of a moment while the pointer is over it."""
    fleet.provide(latency_seconds=0.2)
    shown = Shown(fleet, browser)
    fleet.worker(processes=1, concurrency=10)
    job = fleet.submit("small", "--count", "400")
    fleet.until_state(job, "complete")
    browser.look(DESKTOP)
    shown.open(f"/jobs/{job}")
    browser.until("document.querySelectorAll('.uplot canvas').length === 3", "all charts are drawn")
    told = "document.querySelector('[data-chart=money] .u-legend').innerText"
    cost = dollars(fleet.status(job).cost_usd)
    assert cost in browser.until(f"{told}.includes('$') && {told}", "the legend tells of the last moment")
    over = browser.run(
        "(() => { const at = document.querySelector('[data-chart=money] .u-over');"
        " at.scrollIntoView({behavior: 'instant'});"
        " const box = at.getBoundingClientRect(); return [box.x + 3, box.y + box.height / 2]; })()"
    )
    browser.point(*over)
    browser.until(f"!{told}.includes('{cost}') && {told}.includes('$0.00')", "the legend tells of the first moment")


def test_a_jobs_page_has_its_newest_examples_to_be_read(fleet: Fleet, browser: Browser) -> None:
    """The accepted as people read them, not as JSON, the rejected with reason and raw answer, and none of it HTML."""

    def answers(name: str, schema: object, messages: object, rng: object) -> str:
        return '{"question": "Che cos\'è <b>questo</b>?", "answer": "<img src=x onerror=alert(1)> È una prova."}'

    fleet.provide(answers, latency_seconds=0.05, faults={"malformed": 0.2})
    shown = Shown(fleet, browser)
    fleet.worker(processes=1)
    job = fleet.submit("small", "--count", "60")
    fleet.until_state(job, "complete")
    shown.open(f"/jobs/{job}")
    browser.until("document.querySelectorAll('#accepted details').length > 0", "examples are there")
    read = browser.run("document.getElementById('accepted').innerText")
    assert "Che cos'è <b>questo</b>?" in read
    assert "È una prova." in read
    assert '{"' not in read
    assert browser.run("document.querySelectorAll('#accepted details').length") == latest.ACCEPTED
    browser.until("document.querySelectorAll('.uplot canvas').length >= 2", "charts are drawn")
    browser.click("#rejected summary")
    raw = browser.until("document.querySelector('#rejected .raw')?.innerText", "a raw answer is shown")
    kept = latest.read(fleet.redis, job).causes["rejected:invalid"]
    assert raw in [one["raw"] for one in kept]
    assert kept[0]["detail"] in browser.run("document.getElementById('rejected').innerText")
    assert browser.complaints == []


def test_flowers_own_list_names_examples_and_failures(fleet: Fleet, browser: Browser) -> None:
    """Its tasks are recipe, example and model, their failures have the cause's class, and attempts count as retries."""
    fleet.provide(latency_seconds=0.05, faults={"refused": 0.2, "500": 0.2})
    shown = Shown(fleet, browser)
    fleet.worker(processes=1)
    job = fleet.submit("small", "--count", "60")
    # Flower asks workers for their events every five seconds; those that came before are not its own.
    status = fleet.until_state(job, "complete")
    assert status.reasons["rejected:refused"]
    browser.open(f"{shown.root}/tasks?state=FAILURE")
    browser.until("document.body.innerText.includes('Refused(')", "the list names the failure")
    rows = browser.run("[...document.querySelectorAll('#tasks-table tbody tr')].map((row) => row.innerText)")
    assert all("small, example " in row for row in rows)
    assert all(MODEL in row for row in rows)
    browser.open(f"{shown.root}/tasks")
    browser.until("document.querySelector('#tasks-table tbody tr td:nth-child(4)') !== null", "the list is filled")
    tasks = browser.run(
        "fetch('tasks/datatable?draw=1&start=0&length=100&search[value]=&order[0][column]=0&order[0][dir]=asc"
        "&columns[0][data]=name').then((answer) => answer.json()).then((read) => read.data)"
    )
    retries = sum(task["retries"] or 0 for task in tasks)
    assert len(tasks) == 60
    assert retries == sum(n for cause, n in status.reasons.items() if cause.startswith("again:"))
    assert browser.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_fit_a_phone_and_follow_the_theme(fleet: Fleet, browser: Browser, tmp_path: Path, dark: bool) -> None:
    """Nothing is wider than the window, and text stands out from its ground, in Flower's light and dark."""
    fleet.provide(latency_seconds=0.05, faults={"malformed": 0.2})
    shown = Shown(fleet, browser)
    fleet.worker(processes=1)
    job = fleet.submit("small", "--count", "60")
    fleet.until_state(job, "complete")
    for path in ("/jobs", f"/jobs/{job}"):
        for width in (PHONE, DESKTOP):
            browser.look(width, dark=dark)
            shown.open(path)
            assert browser.run("document.documentElement.dataset.bsTheme") == ("dark" if dark else "light")
            browser.until("document.querySelectorAll('.uplot canvas').length >= 2", "charts are drawn")
            assert browser.run("document.documentElement.scrollWidth") <= width
            assert browser.run(OUTSIDE) == []
            assert browser.run(CONTRAST) == []
    assert browser.complaints == []


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
