"""Tables for people: as wide as their contents where there is no terminal to fit into."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

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
