"""Whether the thousandth example costs what the first did: the same job with ten and a hundred times the examples.

    python -m benchmarks.growth [--sizes 1000 10000 100000]

100 calls in flight of half a second each, so every job could run at 200 examples a second; 100,000 take nine minutes.
What is measured is as in `load.py`, in one run of each size.
"""

from __future__ import annotations

from benchmarks.bench import options_of
from benchmarks.load import Case, Cost, run
from benchmarks.systems.genfleet import Genfleet
from benchmarks.table import print_rows

IN_FLIGHT, SECONDS = 100, 0.5


def main() -> None:
    """Prints the figures."""
    parser = options_of(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    rows: list[tuple[str, ...]] = [
        ("examples", "ms an example", "CPU ms", "of the first", "MB", "lost", "CPU ms by part")
    ]
    first: Cost | None = None
    for size in parser.parse_args().sizes:
        cost = run(Genfleet(1, IN_FLIGHT), Case(IN_FLIGHT, SECONDS, size, 1))
        first = first or cost
        parts = ", ".join(f"{name} {ms:.2f}" for name, ms in sorted(cost.parts.items()) if name != "other")
        rows.append(
            (
                f"{size:,}",
                f"{1000 / cost.rate:.2f}",
                f"{cost.cpu_ms:.2f}",
                f"{cost.cpu_ms / first.cpu_ms:.2f}",
                f"{cost.megabytes:.0f}",
                f"{cost.lost}",
                parts,
            )
        )
    print_rows(rows)


if __name__ == "__main__":
    main()
