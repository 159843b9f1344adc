"""`genfleet demo`: what a person sees first."""

from __future__ import annotations

import json
import re
from pathlib import Path

from fleet_bench import Fleet


def test_the_demo_makes_a_dataset_and_leaves_nothing_running(alone: Fleet) -> None:
    """It exits with 0, shows three examples, an equal bill and where all is, ends what it started, keeps its data."""
    demo = alone.genfleet("demo", "--count", "60", "--seed", "7", seconds=120)
    found = re.search(r"^Dataset +(\S+) \((\d+) examples", demo.out, re.MULTILINE)
    assert found is not None
    examples = [json.loads(line) for line in Path(found[1]).read_text("utf-8").splitlines()]
    assert len(examples) == int(found[2]) == 60
    assert re.search(r"^Cost .*own bill is \$\S+ \(equal\)", demo.out, re.MULTILINE)
    assert re.search(r"^Flower +http://127\.0\.0\.1:\d+", demo.out, re.MULTILINE)
    assert [example["recipe"] in demo.out for example in examples[:3]] == [True] * 3
    assert alone.left() == []
    assert list((alone.data / "demo" / "broker").rglob("*.aof"))
    # Nothing of it went to the provider that this machine's own settings name.
    assert alone.billed("calls") == 0
    assert "Traceback" not in demo.out + demo.err
