"""A command in a terminal of its own, recorded, and the recording as one animated SVG."""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import re
import struct
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import pyte

COLUMNS, LINES = 100, 32
_FRAME_SECONDS = 0.5
_END_SECONDS = 8.0
#: A longer wait in which nothing but a spinner moves is shown as this long.
_IDLE_SECONDS = 1.5
#: A program draws its screen in several writes; after this long without one it is whole.
_WHOLE_SECONDS = 0.02

_CELL, _LINE, _FONT, _MARGIN, _TITLE = 8.4, 20, 14, 20, 36
_BACKGROUND, _TEXT = "#161b22", "#e6edf3"
_COLOURS = {
    "default": _TEXT, "black": "#7d8590", "red": "#ff7b72", "green": "#56d364", "brown": "#e3b341",
    "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#39c5cf", "white": "#b1bac4",
    "brightblack": "#7d8590", "brightgreen": "#7ee787", "brightcyan": "#56d4dd", "brightwhite": "#ffffff",
}  # fmt: skip
#: Lines of a progress bar as parts of a cell (from, to): drawn, so that no font leaves gaps between them.
_BARS = {"━": (0.0, 1.0), "╸": (0.0, 0.5), "╺": (0.5, 1.0)}
_FONTS = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"

#: Dim text as a grey: the emulator knows no dim.
_DIM = b"\x1b[38;5;246m"
_SPINNER = re.compile("[\u2801-\u28ff]")

Row = tuple[pyte.screens.Char, ...]


@dataclass(frozen=True)
class Frame:
    """What stood on the screen from `at` on, in seconds."""

    at: float
    rows: tuple[Row, ...]


def record(command: list[str], folder: Path, env: dict[str, str]) -> list[Frame]:
    """Runs a command in a pseudo-terminal, and gives the screens it showed after its prompt and name were typed.

    Raises:
        RuntimeError: the command failed.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        size = {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
        os.execvpe(command[0], command, env | size)  # noqa: S606
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    start = time.monotonic()
    typed = f"\x1b[1;32m$\x1b[0m {' '.join(command)}\r\n".encode()
    writes = [(0.0, typed)]
    while written := _read(terminal):
        writes.append((time.monotonic() - start, written))
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {code}")
    return _frames(writes)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that nobody writes any more
        return b""


def _frames(writes: list[tuple[float, bytes]]) -> list[Frame]:
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    frames: list[Frame] = []
    shown, kept = "", 0.0
    following = [at for at, _ in writes[1:]] + [float("inf")]
    for (at, written), then in zip(writes, following, strict=True):
        stream.feed(written.replace(b"\x1b[2m", _DIM))
        is_last = then == float("inf")
        if not is_last and (then - at < _WHOLE_SECONDS or (frames and at - kept < _FRAME_SECONDS)):
            continue
        text = _SPINNER.sub("", "\n".join(screen.display))
        if text == shown and not is_last:
            continue
        rows = tuple(tuple(screen.buffer[y][x] for x in range(COLUMNS)) for y in range(LINES))
        frames.append(Frame(frames[-1].at + min(at - kept, _IDLE_SECONDS) if frames else at, rows))
        shown, kept = text, at
    return frames


def svg(frames: list[Frame], title: str) -> str:
    """The frames as an SVG that plays in a loop and rests on the last; that one alone where nothing may move."""
    width = round(COLUMNS * _CELL) + 2 * _MARGIN
    used = max(y for frame in frames for y, row in enumerate(frame.rows) if _is_seen(row)) + 1
    height = _TITLE + used * _LINE + _MARGIN
    length = frames[-1].at + _END_SECONDS
    names: dict[Row, str] = {}
    screens = []
    for place, frame in enumerate(frames):
        lines = [
            f'<use href="#{names.setdefault(row, f"r{len(names)}")}" y="{y * _LINE}"/>'
            for y, row in enumerate(frame.rows)
            if _is_seen(row)
        ]
        screens.append(f'<g transform="translate({place * width},0)">{"".join(lines)}</g>')
    rows = [f'<g id="{name}">{"".join(_drawn(row))}</g>' for row, name in names.items()]
    steps = [
        f"{frame.at / length:.3%}{{transform:translateX({-place * width}px)}}" for place, frame in enumerate(frames)
    ]
    last = f"translateX({-(len(frames) - 1) * width}px)"
    dots = "".join(
        f'<circle cx="{22 + 20 * place}" cy="18" r="6" fill="{colour}"/>'
        for place, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">',
        "<style>",
        f"text{{font:{_FONT}px {_FONTS};white-space:pre}}",
        ".b{font-weight:bold}",
        ".film rect{shape-rendering:crispEdges}",
        f".film{{transform:{last};animation:play {length:.2f}s step-end infinite}}",
        f"@keyframes play{{{''.join(steps)}to{{transform:{last}}}}}",
        "@media (prefers-reduced-motion:reduce){.film{animation:none}}",
        "</style>",
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10" fill="{_BACKGROUND}" '
        'stroke="#30363d"/>',
        f'{dots}<text x="{width / 2}" y="23" text-anchor="middle" fill="#8b949e">{escape(title)}</text>',
        f"<defs>{''.join(rows)}</defs>",
        f'<svg x="{_MARGIN}" y="{_TITLE}" width="{width - 2 * _MARGIN}" height="{used * _LINE}">'
        f'<g class="film">{"".join(screens)}</g></svg>',
        "</svg>\n",
    ])  # fmt: skip


def _is_seen(row: Row) -> bool:
    return any(cell.data.strip() for cell in row)


def _drawn(row: Row) -> Iterator[str]:
    for (colour, bold, bar), cells in itertools.groupby(enumerate(row), lambda cell: _look(cell[1])):
        run = list(cells)
        start, text = run[0][0], "".join(cell.data for _, cell in run)
        if bar:
            left, right = bar
            yield (
                f'<rect x="{(start + left) * _CELL:.1f}" y="8" width="{(len(run) - 1 + right - left) * _CELL:.1f}" '
                f'height="4" fill="{colour}"/>'
            )
        elif text.strip():
            start += len(text) - len(text.lstrip())
            text = text.strip()
            weight = ' class="b"' if bold else ""
            # Its width in cells is given, so that columns stand under each other in whatever font there is.
            yield (
                f'<text x="{start * _CELL:.1f}" y="15" textLength="{len(text) * _CELL:.1f}" '
                f'fill="{colour}"{weight}>{escape(text)}</text>'
            )


def _look(cell: pyte.screens.Char) -> tuple[str, bool, tuple[float, float] | None]:
    colour = _COLOURS.get(cell.fg, f"#{cell.fg}")
    return colour, cell.bold, _BARS.get(cell.data)
