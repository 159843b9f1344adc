"""Makes the README's pictures anew: `python docs/pictures/record.py [terminal] [flower]`, with Chromium for Flower's.

They are recordings: the demo in a terminal, then a fleet of two workers whose provider fails now and then, as the
acceptance tests drive it. Besides the development environment it needs `pip install --group pictures`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from PIL import Image
from terminal import record, svg

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "acceptance"))

from browser import Browser  # noqa: E402
from fleet_bench import MODEL, Fleet  # noqa: E402
from flower_looks import Shown, fleet_of_its_own  # noqa: E402

from console.provider.answers import answer  # noqa: E402

RECIPES = "quiz,chat,cloze,reasoning"
LIMITS = {MODEL: {"requests_per_minute": 600, "tokens_per_minute": 800_000, "concurrent_requests": 40}}
FAULTS = {"malformed": 0.03, "refused": 0.02, "length": 0.02, "500": 0.03}
PHONE, DESK = 390, 1200
#: Nothing of the person's own environment but what programs need to run.
ENV = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LANG": "C.UTF-8"}


def terminal() -> None:
    """terminal.svg: the demo from its first to its last line."""
    with tempfile.TemporaryDirectory() as folder:
        frames = record(["genfleet", "demo"], Path(folder), ENV)
    text = svg(frames, "genfleet demo")
    (HERE / "terminal.svg").write_text(text, encoding="utf-8")
    print(f"terminal.svg: {len(frames)} frames, {len(text) / 1000:.0f} kB")


def flower() -> None:
    """The Jobs tab, a job's page, Flower's tasks and a report, while two jobs are under way and after them."""
    with tempfile.TemporaryDirectory() as name, fleet_of_its_own(Path(name)) as fleet, Browser(Path(name)) as browser:
        fleet.declare(LIMITS)
        fleet.provide(answer, latency_seconds=2.0, faults=FAULTS)
        shown = Shown(fleet, browser)
        fleet.worker(processes=2, concurrency=25)
        fleet.until_joined(2)
        shown.until_known(2)
        first = fleet.submit(RECIPES, "--count", "500", "--budget", "2")
        second = fleet.submit("emotional_support", "--count", "300", "--model", MODEL, "--budget", "3")
        fleet.until(lambda: fleet.status(first).settled >= 260, "half of it is settled", 300)
        photograph(shown, "/jobs", DESK, 1260).save(HERE / "jobs.png", optimize=True)
        photograph(shown, f"/jobs/{first}", DESK, 1260, dark=True).save(HERE / "job-dark.png", optimize=True)
        beside(
            photograph(shown, "/jobs", PHONE, 1100),
            photograph(shown, f"/jobs/{first}", PHONE, 1100, dark=True),
            photograph(shown, f"/jobs/{first}", PHONE, 1100, below="#accepted-panel"),
        ).save(HERE / "phone.png", optimize=True)
        for job in (first, second):
            fleet.until_state(job, "complete", 300)
        tasks(shown).save(HERE / "flower-tasks.png", optimize=True)
        report(fleet, browser, first).save(HERE / "report.png", optimize=True)
    for path in sorted(HERE.glob("*.png")):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def photograph(
    shown: Shown, path: str, width: int, height: int, *, dark: bool = False, below: str | None = None
) -> Image.Image:
    """One of our pages when its charts are drawn; its top, or from an element on."""
    shown.browser.look(width, height, dark=dark)
    shown.open(path)
    shown.browser.until("document.querySelectorAll('.uplot canvas').length >= 3", "charts are drawn")
    if below is not None:
        shown.browser.run(
            f"document.querySelector('{below}').scrollIntoView({{behavior: 'instant'}}); scrollBy(0, -80)"
        )
    return taken(shown.browser, Path(shown.fleet.folder) / "shot.png")


def tasks(shown: Shown) -> Image.Image:
    """Flower's own list of the tasks that failed."""
    shown.browser.look(DESK, 780)
    shown.browser.open(f"{shown.root}/tasks?state=FAILURE")
    shown.browser.until("document.querySelectorAll('#tasks-table tbody tr').length > 5", "the list is filled")
    return taken(shown.browser, Path(shown.fleet.folder) / "shot.png")


def report(fleet: Fleet, browser: Browser, job: str) -> Image.Image:
    """The beginning of the job's report."""
    to = fleet.folder / "report.html"
    fleet.genfleet("report", job, "--to", str(to))
    browser.look(1100, 1300)
    browser.open(to.as_uri())
    return taken(browser, fleet.folder / "shot.png")


def taken(browser: Browser, shot: Path) -> Image.Image:
    """What the window shows."""
    time.sleep(1)  # bars slide to their length
    browser.photograph(shot, whole=False)
    with Image.open(BytesIO(shot.read_bytes())) as image:
        return few_colours(image.convert("RGB"))


def beside(*images: Image.Image) -> Image.Image:
    """Pictures in a row."""
    gap = 24
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    row = Image.new("RGB", (width, max(image.height for image in images)), "white")
    at = 0
    for image in images:
        row.paste(image.convert("RGB"), (at, 0))
        at += image.width + gap
    return few_colours(row)


def few_colours(image: Image.Image) -> Image.Image:
    """A picture a third as large in bytes, that looks the same."""
    return image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


if __name__ == "__main__":
    for picture in sys.argv[1:] or ["terminal", "flower"]:
        {"terminal": terminal, "flower": flower}[picture]()
