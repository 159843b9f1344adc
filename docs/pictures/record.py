"""Makes the README's pictures anew: `python docs/pictures/record.py [terminal] [flower]`, with Chromium for Flower's.

They are recordings: the demo in a terminal, then a fleet of four workers whose provider fails now and then.
Besides the development environment it needs `pip install --group pictures`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from terminal import record, svg

from console.services import answers, free_port

HERE = Path(__file__).parent
MODEL = "anthropic/claude-haiku-4.5"
RECIPES = "chat,quiz,cloze,reasoning,function_calling,formulas,emotional_support"
COUNT = 500
FAULTS = "refused=0.05,malformed=0.05,length=0.04"
#: A fleet that waits for no limit for a minute.
MODELS = f"""[models."{MODEL}"]
limits = {{ requests_per_minute = 1_200, tokens_per_minute = 2_500_000, concurrent_requests = 100 }}
"""
_WAIT_SECONDS = 120.0
_SCALE = 1.6
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
    """flower.png and flower-tasks.png: workers and tasks while a job is under way."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        broker, provider, page = free_port(), free_port(), free_port()
        env = ENV | {
            "REDIS_URL": f"redis://127.0.0.1:{broker}/0",
            "OPENROUTER_BASE_URL": f"http://127.0.0.1:{provider}/api/v1",
            "OPENROUTER_API_KEY": "simulated",
            "GENFLEET_MODELS": "models.toml",
        }
        (folder / "models.toml").write_text(MODELS)

        def start(*arguments: str) -> None:
            stack.enter_context(running(["genfleet", *arguments], folder, env))

        def ask(*arguments: str) -> str:
            command = ["genfleet", *arguments]
            return subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout

        def settled() -> int:
            status = json.loads(ask("status", job, "--json"))
            return int(status["accepted"]) + int(status["rejected"])

        start("broker", "--port", str(broker))
        start("provider", "--port", str(provider), "--faults", FAULTS)
        until(lambda: answers(f"http://127.0.0.1:{provider}/health"), "the provider answers")
        start("flower", "--port", str(page))
        start("worker", "--processes", "4", "--concurrency", "25", "--model", MODEL)
        root = f"http://127.0.0.1:{page}"
        until(lambda: answers(f"{root}/healthcheck"), "Flower answers")
        job = ask("submit", RECIPES, "--count", str(COUNT), "--model", MODEL).strip()
        until(lambda: settled() > COUNT * 0.5, "half of the examples are settled")
        photograph(f"{root}/workers", 1080, HERE / "flower.png", folder)
        until(lambda: settled() == COUNT, "all examples are settled")
        photograph(f"{root}/tasks", 1280, HERE / "flower-tasks.png", folder)


@contextlib.contextmanager
def running(command: list[str], folder: Path, env: dict[str, str]) -> Iterator[None]:
    """A process that ends in order when this is left."""
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def until(holds: Callable[[], bool], what: str) -> None:
    """Waits for something to hold; TimeoutError where it does not come to."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"in {_WAIT_SECONDS:.0f} s it did not happen that {what}")
        time.sleep(0.2)


def photograph(url: str, width: int, to: Path, folder: Path) -> None:
    """A page as Chromium draws it, cut to what is on it, in few colours."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("Flower's pictures need Chromium or Chrome on the PATH.")
    shot = folder / "shot.png"
    switches = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        f"--user-data-dir={tempfile.mkdtemp(dir=folder)}",
        f"--window-size={width},1600",
        f"--force-device-scale-factor={_SCALE}",
        "--virtual-time-budget=8000",
        f"--screenshot={shot}",
    ]
    subprocess.run([chromium, *switches, url], check=True, capture_output=True, timeout=60)
    with Image.open(shot) as image:
        cut(image.convert("RGB")).quantize(64, dither=Image.Dither.NONE).save(to, optimize=True)
    print(f"{to.name}: {to.stat().st_size / 1000:.0f} kB")


def cut(image: Image.Image) -> Image.Image:
    """The picture without the empty rows below its contents."""
    pixels = np.asarray(image)
    filled = np.flatnonzero((pixels != pixels[-1, 0]).any(axis=(1, 2)))
    return image.crop((0, 0, image.width, min(image.height, int(filled[-1]) + round(20 * _SCALE))))


if __name__ == "__main__":
    for picture in sys.argv[1:] or ["terminal", "flower"]:
        {"terminal": terminal, "flower": flower}[picture]()
