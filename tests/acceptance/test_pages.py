"""What people see in a browser: Flower with our page, and a job's report, as a real browser shows them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fleet_bench import Fleet

from console.services import answers, free_port

_QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--virtual-time-budget=4000",
]


@pytest.fixture
def seen(tmp_path: Path) -> Callable[[str], str]:
    """What Chromium makes of a page, as text."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")

    def look(address: str) -> str:
        command = [chromium, *_QUIET, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", address]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    return look


def test_flower_shows_jobs_limits_and_failures_by_cause(fleet: Fleet, seen: Callable[[str], str]) -> None:
    """Flower's task list names why an example failed, and /fleet shows the job's counts and the fleet's limits."""
    fleet.recipe()
    fleet.provide(latency_seconds=0.05, faults={"malformed": 0.3})
    port = free_port()
    flower = fleet.start("flower", "--port", str(port), FLOWER_UNAUTHENTICATED_API="true")
    fleet.until(lambda: answers(f"http://127.0.0.1:{port}/healthcheck"), "Flower answers")
    worker = fleet.worker(processes=1)
    job = fleet.submit("small", "--count", "40")
    status = fleet.until_state(job, "complete")
    assert status.rejected

    page = seen(f"http://127.0.0.1:{port}/fleet")
    assert job in page
    assert f"rejected invalid {status.rejected}" in page
    assert "1 worker processes alive" in page
    fleet.until(
        lambda: "AnswerInvalid(" in seen(f"http://127.0.0.1:{port}/tasks?limit=100"),
        "the list of tasks names the failure",
    )
    worker.end()
    flower.end()


def test_report_is_one_page_with_pictures(fleet: Fleet, seen: Callable[[str], str], tmp_path: Path) -> None:
    """A report tells counts and causes, draws its pictures and loads nothing from elsewhere."""
    fleet.recipe()
    fleet.provide(latency_seconds=0.2, faults={"500": 0.1})
    worker = fleet.worker(processes=1)
    job = fleet.submit("small", "--count", "60")
    fleet.until_state(job, "complete")
    worker.end()
    target = tmp_path / "report.html"
    fleet.genfleet("report", job, "--to", str(target))
    page = seen(target.as_uri())
    assert "accepted of 60" in page
    assert all(
        title in page for title in ("By outcome", "Errors by reason", "By recipe", "By model that answered", "By hour")
    )
    assert "<td>again</td>" in page
    assert "<td>http_500</td>" in page
    assert page.count("<svg") == 1
    assert 'src="http' not in page
    assert 'href="http' not in page
