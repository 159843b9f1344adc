"""Whether the thousandth example costs what the first did: the same job with ten and a hundred times the examples.

    python -m benchmarks.growth [--sizes 1000 10000 100000 1000]

100 calls in flight of half a second each, so every job could run at 200 examples a second; 100,000 take nine minutes.
What is measured is as in `load.py`, in one run of each size; but for the producer, which has enqueued the small job
before its first calls end, and the large one while its calls are made. It stands by itself; see `enqueue.py`.
"fixed work" is the CPU time that the same small computation took meanwhile, of the first: what the machine adds.
"""

from __future__ import annotations

from benchmarks.bench import options_of
from benchmarks.load import Case, run
from benchmarks.speed import Speed
from benchmarks.systems.genfleet import Genfleet
from benchmarks.table import print_rows

IN_FLIGHT, SECONDS = 100, 0.5


def main() -> None:
    """Prints the figures."""
    parser = options_of(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000])
    rows: list[tuple[str, ...]] = [
        ("examples", "ms an example", "CPU ms", "of the first", "fixed work", "MB", "lost", "CPU ms by part")
    ]
    first = fixed = 0.0
    for size in parser.parse_args().sizes:
        with Speed() as speed:
            cost = run(Genfleet(1, IN_FLIGHT), Case(IN_FLIGHT, SECONDS, size, 1))
        cpu_ms = cost.cpu_ms - cost.parts.get("producer", 0.0)
        first, fixed = first or cpu_ms, fixed or speed.milliseconds
        parts = ", ".join(f"{name} {ms:.2f}" for name, ms in sorted(cost.parts.items()) if name != "other")
        rows.append(
            (
                f"{size:,}",
                f"{1000 / cost.rate:.2f}",
                f"{cpu_ms:.2f}",
                f"{cpu_ms / first:.2f}",
                f"{speed.milliseconds / fixed:.2f}",
                f"{cost.megabytes:.0f}",
                f"{cost.lost}",
                parts,
            )
        )
    print_rows(rows)


if __name__ == "__main__":
    main()
