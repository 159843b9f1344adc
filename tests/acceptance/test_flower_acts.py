"""The buttons of a job's page: what they do is what the commands do, and for nobody who is not let in."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from browser import Browser
from fleet_bench import Fleet
from flower_looks import Shown, fleet_of_its_own

from console import acting
from ledger import jobs

LOGIN = ("anna", "pa:ss")
BASIC = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()


PREFIX = "/fleet/flower"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A worker, and a provider that fails now and then."""
    with fleet_of_its_own(tmp_path_factory.mktemp("fleet")) as fleet:
        fleet.provide(latency_seconds=0.2, faults={"malformed": 0.3})
        fleet.worker(processes=1, concurrency=10)
        yield fleet


@pytest.fixture(scope="module")
def pages(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shown]]:
    """Flower in three ways, and a browser in front of it, of somebody who knows the password where one is asked for."""
    with Browser(tmp_path_factory.mktemp("browser"), LOGIN) as browser:
        password = {"FLOWER_BASIC_AUTH": ":".join(LOGIN)}
        found = {
            "open": Shown(fleet, browser),
            "closed": Shown(fleet, browser, "--url-prefix", f"{PREFIX}/", prefix=PREFIX, **password),
            "read_only": Shown(fleet, browser, "--read-only"),
        }
        for shown in found.values():
            shown.until_up()
        fleet.until_joined(1)
        yield found


@pytest.fixture
def browser(fleet: Fleet, pages: dict[str, Shown]) -> Iterator[Browser]:
    """The browser, at a desk; jobs that the test leaves make no more calls."""
    browser = pages["open"].browser
    browser.look(1280)
    browser.complaints.clear()
    yield browser
    for job in jobs.running(fleet.redis):
        acting.rest(fleet.redis, job, "cancelled")


def test_buttons_pause_resume_cancel_and_retry(fleet: Fleet, pages: dict[str, Shown], browser: Browser) -> None:
    """Each does to the job what its command does, says so, and cancels only when it is pressed twice."""
    shown = pages["open"]
    fleet.provider.control(faults={"malformed": 0.3})
    job = fleet.submit("small", "--count", "2000")
    shown.open(f"/jobs/{job}")
    fleet.until(lambda: fleet.status(job).reasons.get("rejected:invalid"), "something is rejected")
    browser.click("[data-act=pause]")
    fleet.until_state(job, "paused")
    said = browser.until("document.querySelector('.job-said:not([hidden])')?.innerText", "it says what came of it")
    assert said.startswith("paused, ")
    assert said.endswith("of 2,000 settled.")

    fleet.until(lambda: fleet.status(job).running == 0, "calls in flight have ended")
    before = fleet.status(job)
    fleet.provider.control(faults={})
    browser.click("[data-cause='rejected:invalid'] [data-act=retry]")
    fleet.until(lambda: "rejected:invalid" not in fleet.status(job).reasons, "what was rejected is tried again")
    # And the rest of the job with it, of which the workers have dropped the messages.
    fleet.until(lambda: fleet.status(job).accepted > before.settled + 10, "the job goes on")

    browser.click("[data-act=pause]")
    fleet.until_state(job, "paused")
    browser.until("document.querySelector('.job-actions input') !== null", "a budget can be given")
    browser.run("document.querySelector('.job-actions input').value = '7.5'")
    browser.click("[data-act=resume]")
    assert fleet.until_state(job, "running").budget_usd == 7.5

    browser.click("[data-act=cancel]")
    browser.until(
        "document.querySelector('[data-act=cancel]').innerText === 'Cancel it?'", "it asks whether that is meant"
    )
    assert fleet.status(job).state == "running"
    browser.click("[data-act=cancel]")
    status = fleet.until_state(job, "cancelled")
    shown.until_card(job, lambda card: card["state"] == "cancelled", "the page says so")
    assert status.settled < 2000
    assert browser.complaints == []


def test_a_password_and_a_prefix(fleet: Fleet, pages: dict[str, Shown], browser: Browser) -> None:
    """Nothing is shown without the password, and under a prefix every link, file, question and button works."""
    shown = pages["closed"]
    fleet.provider.control(faults={})
    job = fleet.submit("small", "--count", "2000", "--seed", "1")
    asked = [f"/jobs/{job}/{what}" for what in ("now", "series", "examples")]
    for path in ("/jobs", "/fleet", "/jobs/data", f"/jobs/{job}", *asked):
        assert shown.ask("GET", f"{PREFIX}{path}")[0] == 401, path
        assert shown.ask("GET", path)[0] == 404, path
    assert shown.ask("POST", f"{PREFIX}/jobs/{job}/cancel", {}, Origin=shown.root)[0] in (401, 403)

    shown.open()
    links = browser.run(
        "[...document.querySelectorAll('.app-nav .nav-link[href]')].slice(0, 4).map((one) => [one.innerText, one.href])"
    )
    assert [name for name, _ in links] == ["Jobs", "Workers", "Tasks", "Broker"]
    for name, address in links[1:]:
        browser.open(address)
        assert browser.run("document.querySelector('.nav-link.active').innerText") == name
        assert browser.run("document.querySelector('.nav-link').innerText") == "Jobs"
    browser.click(".nav-link")
    browser.until(f"document.querySelector('#job-{job} h2 a') !== null", "the job is on the tab")
    browser.click(f"#job-{job} h2 a")
    browser.until("document.querySelector('[data-act=pause]') !== null", "its page has buttons")
    browser.click("[data-act=pause]")
    fleet.until_state(job, "paused")
    browser.open(f"{shown.root}/fleet")
    browser.until("document.querySelector('#jobs-page[data-ready]') !== null", "it is where it was before it was a tab")
    assert browser.run("document.querySelector('.skip-link') !== null")
    assert browser.complaints == []


def test_read_only_shows_and_does_nothing(fleet: Fleet, pages: dict[str, Shown], browser: Browser) -> None:
    """With --read-only there is no button, and what one would send is refused."""
    shown = pages["read_only"]
    fleet.provider.control(faults={"malformed": 0.3})
    job = fleet.submit("small", "--count", "2000", "--seed", "2")
    fleet.until(lambda: fleet.status(job).reasons.get("rejected:invalid"), "something is rejected")
    shown.open(f"/jobs/{job}")
    assert browser.run("document.querySelectorAll('[data-cause]').length") > 0
    assert browser.run("document.querySelectorAll('.jobs-page button:not([hidden])').length") == 0
    for action in ("pause", "resume", "cancel", "retry"):
        answer = browser.run(f"genfleet.post(location.pathname + '/{action}', {{}}).catch((error) => error.message)")
        assert answer == "This Flower only shows (--read-only); act with genfleet."
    assert fleet.status(job).state == "running"


def test_only_our_own_page_may_act(fleet: Fleet, pages: dict[str, Shown], browser: Browser) -> None:
    """Without the page's token, from another site, or under a name that is not this machine's, nothing is done."""
    shown = pages["open"]
    job = fleet.submit("small", "--count", "2000", "--seed", "3")
    shown.open(f"/jobs/{job}")
    token = browser.run("document.cookie.match(/_xsrf=([^;]+)/)[1]")
    good = {"Cookie": f"_xsrf={token}", "X_XSRFToken": token, "Origin": shown.root}
    pause = f"/jobs/{job}/pause"
    host = f"127.0.0.1:{shown.port}"
    for refused in (
        {},
        {"Cookie": good["Cookie"]},
        {**good, "X_XSRFToken": "another"},
        {**good, "Origin": "https://example.org"},
        {**good, "Sec_Fetch_Site": "cross-site"},
        {**good, "Host": f"rebound.example:{shown.port}", "Origin": f"http://rebound.example:{shown.port}"},
    ):
        assert shown.ask("POST", pause, {}, **refused)[0] == 403, refused
        assert fleet.status(job).state == "running"
    assert shown.ask("POST", f"/jobs/{job}/enlarge", {}, **good)[0] == 404
    assert shown.ask("POST", "/jobs/none-0123456789/pause", {}, **good)[0] == 404
    assert shown.ask("POST", f"/jobs/{job}/resume", {"budget": "much"}, **good)[0] == 400
    status, said = shown.ask("POST", pause, {}, **good, Host=host)
    assert (status, json.loads(said)["said"].startswith("paused, ")) == (200, True)
    assert fleet.status(job).state == "paused"


def test_a_password_does_not_stand_for_the_token(fleet: Fleet, pages: dict[str, Shown], browser: Browser) -> None:
    """A browser sends the password with whatever any site makes it ask for, so the buttons' token is asked for too."""
    shown = pages["closed"]
    job = fleet.submit("small", "--count", "2000", "--seed", "4")
    assert shown.ask("POST", f"{PREFIX}/jobs/{job}/cancel", {}, Authorization=BASIC)[0] == 403
    assert shown.ask("GET", f"{PREFIX}/jobs/{job}/now", Authorization=BASIC)[0] == 200
    assert fleet.status(job).state == "running"
