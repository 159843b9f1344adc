"""How far a job is, as it goes: a live display in a terminal, plain lines where there is none."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ledger.status import Status

_LINE_EVERY_SECONDS = 5.0
_RATE_OVER_SECONDS = 20.0
_COLOURS = {"running": "green", "complete": "green", "stopped": "red"}


def dollars(amount: float) -> str:
    """An amount of money as people read it: cents, or more digits where it is small."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}"


def span(seconds: float) -> str:
    """A time as people read it: 45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Rate:
    """Examples per second over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, settled: int, now: float) -> float:
        """Notes how many are settled now and gives the rate."""
        self._seen.append((now, settled))
        while self._seen[0][0] < now - _RATE_OVER_SECONDS and len(self._seen) > 2:
            self._seen.popleft()
        (then, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - then) if last > then else 0.0


class Progress:
    """Shows a job's status each time it is given one."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=8, transient=False) if self.is_live else None
        self._rate = Rate()
        self._next_line = 0.0

    @property
    def is_live(self) -> bool:
        """Whether there is a terminal to draw in."""
        return self._console.is_terminal

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, message: str) -> None:
        """A line above the display."""
        if self._live:
            self._live.console.print(message, highlight=False, markup=False)
        else:
            print(message, file=sys.stderr, flush=True)

    def wait(self, message: str) -> None:
        """What is waited for before there is a job to show; in a terminal the job then takes its place."""
        if self._live:
            self._live.update(Spinner("dots", Text(message), style="cyan"), refresh=True)
        else:
            self.say(message)

    def show(self, status: Status, last: bool = False) -> None:
        """The job as it is now; `last` for the reading that ends the display, which shows the rate of the whole job."""
        now = time.monotonic()
        rate = self._rate.at(status.settled, now)
        if last and status.seconds:
            rate = status.settled / status.seconds
        if self._live:
            self._live.update(self._drawing(status, rate), refresh=last)
        elif last or now >= self._next_line:
            self._next_line = now + _LINE_EVERY_SECONDS
            self.say(self._line(status, rate))

    def _line(self, status: Status, rate: float) -> str:
        left = self._left(status, rate)
        return (
            f"{status.job}: {status.settled}/{status.total} ({status.accepted} accepted, {status.rejected} rejected), "
            f"{status.running} running, {rate:.1f}/s, {dollars(status.cost_usd)}{left}, {status.state}"
        )

    @staticmethod
    def _left(status: Status, rate: float) -> str:
        todo = status.total - status.settled
        # Below a second it would read "0 s left".
        return f", {span(todo / rate)} left" if todo > rate > 0 and status.state == "running" else ""

    def _drawing(self, status: Status, rate: float) -> Group:
        head = Text.assemble(
            (status.job, "bold"),
            (f"  {status.model}  ", "dim"),
            (status.state, _COLOURS.get(status.state, "yellow")),
        )
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            ProgressBar(
                total=status.total,
                completed=status.settled,
                width=46,
                style="bright_black",
                complete_style="green",
                finished_style="green",
            ),
            f"{status.settled:,} of {status.total:,}",
        )
        facts = [
            Text.assemble((f"{status.accepted:,}", "green"), " accepted"),
            Text.assemble((f"{status.rejected:,}", "yellow" if status.rejected else ""), " rejected"),
            Text(f"{status.running:,} running" if status.running else ""),
            Text(f"{rate:.1f}/s"),
            Text(dollars(status.cost_usd) + (f" of {dollars(status.budget_usd)}" if status.budget_usd else "")),
            Text(self._left(status, rate).removeprefix(", ")),
        ]
        lines: list[RenderableType] = [Text(), head, bar, Text("   ").join(fact for fact in facts if fact)]
        if status.reasons:
            reasons = (f"{name.replace(':', ' ')} {count}" for name, count in status.reasons.items())
            lines.append(Text(", ".join(reasons), "dim"))
        return Group(*lines)
