"""A headless Chromium as a person uses it: it opens pages, reads, clicks and is photographed."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from console.services import end_process

_QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
]
_ANSWER_SECONDS = 60.0
#: Clicks an element, in one step, so that it cannot move meanwhile; false while it is hidden, disabled or covered.
_CLICK = """(() => {
  const found = document.querySelector(%s);
  if (!found || found.disabled) return false;
  found.scrollIntoView({block: 'center', behavior: 'instant'});
  const {x, y, width, height} = found.getBoundingClientRect();
  const on = width && height && document.elementFromPoint(x + width / 2, y + height / 2);
  if (!on || !(found.contains(on) || on.contains(found))) return false;
  found.click();
  return true;
})()"""


class PageFailed(AssertionError):
    """The page does not do what is asked of it."""


class Browser:
    """One tab. It speaks Chromium's DevTools protocol over a pipe: JSON messages, each ended by a zero byte.

    A thread reads what Chromium says, so that it is let on with its requests while the test waits for something else.

    Attributes:
        complaints: what stood in the page's console as an error or a warning, and what it could not load.
        asked: the addresses that the page has asked for.
    """

    def __init__(self, folder: Path, login: tuple[str, str] | None = None) -> None:
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self._folder = folder
        self._login = login
        self._stack = ExitStack()
        self._number = 0
        self._sending = threading.Lock()
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._listen, name="browser", daemon=True)

    def __enter__(self) -> Self:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        if chromium is None:
            pytest.skip("Chromium is not installed")
        (reads, self._out), (self._in, writes) = os.pipe(), os.pipe()
        self._stack.callback(os.close, self._in)
        self._stack.callback(os.close, self._out)
        # Out of the way of 3 and 4, on which Chromium reads its orders and answers.
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (reads, writes)]
        command = ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", chromium, *_QUIET]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={self._folder / 'browser'}", "--remote-debugging-pipe", "about:blank"],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._reader.start()
        self._stack.callback(self._reader.join)
        self._stack.callback(end_process, self._process)
        for end in (reads, writes, *theirs):
            os.close(end)
        try:
            self._attach()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _attach(self) -> None:
        target = self.ask("Target.createTarget", {"url": "about:blank"}, session=False)["targetId"]
        found = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True}, session=False)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        if self._login is not None:
            self.ask("Fetch.enable", {"handleAuthRequests": True})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def ask(self, method: str, params: dict[str, Any] | None = None, session: bool = True) -> dict[str, Any]:
        """Gives an order and the answer to it."""
        number = self._send(method, params, session)
        while True:
            try:
                message = self._answers.get(timeout=_ANSWER_SECONDS)
            except queue.Empty:
                raise PageFailed(f"{method}: no answer") from None
            if not message:
                raise PageFailed("Chromium has ended")
            if message["id"] == number:
                if "error" in message:
                    raise PageFailed(f"{method}: {message['error']}")
                return dict(message.get("result", {}))

    def _send(self, method: str, params: dict[str, Any] | None, session: bool = True) -> int:
        with self._sending:
            self._number += 1
            order = {"id": self._number, "method": method, "params": params or {}}
            if session:
                order["sessionId"] = self._session
            os.write(self._out, json.dumps(order).encode() + b"\0")
            return self._number

    def _listen(self) -> None:
        pieces: list[bytes] = []
        while piece := os.read(self._in, 1 << 16):
            *ends, rest = piece.split(b"\0")
            for end in ends:
                message: dict[str, Any] = json.loads(b"".join([*pieces, end]))
                pieces.clear()
                self._heed(message.get("method", ""), message.get("params", {}))
                if "id" in message:
                    self._answers.put(message)
            pieces.append(rest)
        self._answers.put({})

    def _heed(self, event: str, told: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(one.get("value", one.get("description"))) for one in told["args"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif event == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])
        elif event == "Fetch.requestPaused":
            self._send("Fetch.continueRequest", {"requestId": told["requestId"]})
        elif event == "Fetch.authRequired" and self._login is not None:
            user, password = self._login
            answer = {"response": "ProvideCredentials", "username": user, "password": password}
            self._send("Fetch.continueWithAuth", {"requestId": told["requestId"], "authChallengeResponse": answer})

    def open(self, address: str) -> None:
        """Goes to an address, and waits until the page has loaded."""
        self.run("window.left = true")
        self.ask("Page.navigate", {"url": address})
        self.until("!window.left && document.readyState === 'complete'", f"{address} has loaded")

    def run(self, script: str) -> Any:
        """What an expression in the page comes to."""
        asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self.ask("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            raise PageFailed(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, script: str, what: str, seconds: float = 60) -> Any:
        """Waits until an expression in the page holds, and gives what it came to."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if value := self.run(script):
                    return value
            except PageFailed:
                # The page is on its way to another.
                pass
            time.sleep(0.1)
        raise PageFailed(f"not after {seconds:g} s: {what}\n{self.text()[:3000]}\n{self.complaints}")

    def eventually(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """Waits until something holds for which the page is asked more than once."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise PageFailed(f"not after {seconds:g} s: {what}\n{self.text()[:3000]}\n{self.complaints}")
            time.sleep(0.2)
        return value

    def text(self) -> str:
        """What can be read on the page."""
        return str(self.run("document.body.innerText"))

    def click(self, selector: str) -> None:
        """Clicks an element as soon as a person could: it is seen, and nothing covers it."""
        self.until(_CLICK % json.dumps(selector), f"{selector} can be clicked")

    def point(self, x: float, y: float) -> None:
        """Moves the mouse there."""
        self.ask("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})

    def look(self, width: int, height: int = 900, dark: bool = False) -> None:
        """Makes the window so large (a phone's below 600), and its user fond of dark or light pages."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", {"features": [scheme]})

    def photograph(self, to: Path, whole: bool = True) -> None:
        """The page as a PNG, all of its height or what the window shows."""
        asked: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
            asked["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": min(8000, size["height"]), "scale": 1}
        to.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", asked)["data"]))
