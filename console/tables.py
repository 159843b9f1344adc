"""Tables for people: as wide as their contents where there is no terminal to fit into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger import limits
from ledger.connection import Redis

_WIDE = 1000


def show(columns: Iterable[str], rows: Iterable[Iterable[str]], left: int = 1, empty: str = "") -> None:
    """Prints a table to standard output; the first `left` columns are text, the others numbers."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < left else "right", no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    console.print(table if table.rows else empty, soft_wrap=not table.rows)


def put(draw: Callable[[int, int | None], Sequence[Text]], wide: int = _WIDE) -> None:
    """Prints lines to standard output, drawn for a terminal's width and height, else for `wide` columns."""
    console = Console(highlight=False)
    lines = draw(console.width, console.height - 1) if console.is_terminal else draw(wide, None)
    for line in lines:
        console.print(line, soft_wrap=True)


def limits_row(redis: Redis, model: str) -> list[str]:
    """A model's limits in force and their use at this moment, as cells."""
    now, use = limits.read(redis, model), limits.use(redis, model)
    figures = (now.requests_per_minute, now.tokens_per_minute, now.concurrent_requests)
    shown = ["-" if figure is None else f"{figure:,.0f}" for figure in figures]
    if use.told.requests_per_minute or use.told.tokens_per_minute:
        told = (use.told.requests_per_minute, use.told.tokens_per_minute)
        shown = [
            f"{cell} (told {limit:,.0f})" if limit else cell for cell, limit in zip(shown, (*told, None), strict=True)
        ]
    if use.guessed is not None:
        shown[0] = f"about {use.guessed * use.share:,.0f} (learned)"
    minute = f"{use.requests:,} req, {use.tokens:,} tok"
    return [model, *shown, str(use.in_flight), minute, str(use.refused), f"{use.share:.0%}"]
