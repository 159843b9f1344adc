"""A command in a terminal of its own, and what stands on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

#: The terminal is the command's own, so that Ctrl-C and a change of size reach it as they reach a person's command.
_OWN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "console", *sys.argv[1:]])
"""
SHOW_CURSOR = b"\x1b[?25h"


class Terminal:
    """`genfleet` with these arguments in a terminal of that size; it is ended when this is left."""

    def __init__(self, arguments: list[str], env: dict[str, str], folder: Path, columns: int, lines: int) -> None:
        self.written = b""
        """All that the command has written."""
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._ours, theirs = pty.openpty()
        _set_size(theirs, columns, lines)
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _OWN_TERMINAL, *arguments],
            cwd=folder,
            env={name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}
            | {"TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(30)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        self._reader.join(5)
        os.close(self._ours)
        if error is not None:
            print(self.text)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.written += data
                self._stream.feed(data)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, without what is blank at the ends of lines."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(self.lines)

    @property
    def words(self) -> str:
        """What stands on the screen, wherever its lines are broken."""
        return " ".join(self.text.split())

    def tells(self, words: str) -> bool:
        """Whether these words stand there, even if the terminal broke a line within one of them."""
        return "".join(words.split()) in "".join(self.text.split())

    def resize(self, columns: int, lines: int) -> None:
        """Gives the terminal another size, as a person does who drags its corner."""
        with self._lock:
            self._screen.resize(lines, columns)
        _set_size(self._ours, columns, lines)

    def press(self, key: str) -> None:
        """A key; Ctrl-C is "\\x03"."""
        os.write(self._ours, key.encode())

    def until(self, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Waits for what must come to stand on the screen."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not after {seconds:g} s: {what}\n{self.text}"
            time.sleep(0.05)

    def until_shown(self, words: str, seconds: float = 60) -> None:
        """Waits until these words stand on the screen."""
        self.until(lambda: self.tells(words), f'"{words}" is on the screen', seconds)

    def end(self) -> None:
        """SIGTERM."""
        self._popen.send_signal(signal.SIGTERM)

    def ended(self, seconds: float = 60) -> int:
        """Its exit code, when it has ended by itself."""
        code = self._popen.wait(seconds)
        self._reader.join(5)
        return code


def _set_size(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
