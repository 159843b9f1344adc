"""Which examples are kept for people to look at, and what of them."""

from __future__ import annotations

import json
from typing import Any

from ledger.latest import ACCEPTED, CAUSE, fields
from workers.shown import Shown

ATTEMPT = {
    "unit": 4, "attempt": 2, "recipe": "quiz", "answered_by": None, "worker": "w", "latency_seconds": 0.5, "at": "now",
}  # fmt: skip


def example(index: int = 0, outcome: str = "accepted", **more: Any) -> dict[str, Any]:
    """An example as it is stored."""
    return {"index": index, "outcome": outcome, "at": "now", **more}


def test_the_first_of_a_cause_are_kept_and_then_one_a_second() -> None:
    """However fast a job is, it costs one small write a second; each cause of each job has its own."""
    now = [0.0]
    shown = Shown(lambda: now[0])
    burst = [shown.take("job", "accepted") for _ in range(100)]
    assert burst[:20] == list(range(20))
    assert set(burst[20:]) == {None}
    assert shown.take("job", "rejected:invalid") == shown.take("other", "accepted") == 0
    for step in range(500):
        now[0] = step / 100
        shown.take("job", "accepted")
    now[0] = 1_000.0
    assert shown.take("job", "accepted") == 24


def test_what_comes_later_takes_the_place_of_what_came_before() -> None:
    """A job's hash has a place for each of a few accepted examples, and for fewer of each cause."""
    names: set[str] = set()
    for number in range(100):
        names |= fields("accepted", "", ATTEMPT, [example(number)], number).keys()
        names |= fields("rejected", "invalid", ATTEMPT, [example(number, "rejected", reason="invalid")], number).keys()
        names |= fields("again", "http_500", ATTEMPT, [], number).keys()
    assert len(names) == ACCEPTED + 2 * CAUSE
    assert {name.rpartition(" ")[0] for name in names} == {"accepted", "rejected:invalid", "again:http_500"}


def test_examples_of_one_call_are_kept_under_what_became_of_each() -> None:
    """A call for several examples may have brought some that pass their checks and some that do not."""
    both = [example(0, output={"a": "b"}), example(1, "rejected", reason="invalid", raw="{")]
    kept = fields("accepted", "", ATTEMPT, both, 3)
    assert {name: json.loads(text)["index"] for name, text in kept.items()} == {
        "accepted 6": 0,
        "rejected:invalid 2": 1,
    }


def test_an_attempt_that_failed_leaves_its_facts() -> None:
    """There is no answer to keep: which task, which attempt, where and how long."""
    (kept,) = fields("again", "timeout", ATTEMPT, [], 0).values()
    assert json.loads(kept) == ATTEMPT


def test_long_texts_are_cut_and_very_large_examples_are_named_only() -> None:
    """What is kept is small, whatever a row or an answer holds, and says what is left out."""
    (cut,) = fields("accepted", "", ATTEMPT, [example(variables={"passage": "x" * 30_000})], 0).values()
    assert json.loads(cut)["variables"]["passage"].endswith("… (22,000 characters more)")
    (named,) = fields("accepted", "", ATTEMPT, [example(output={"all": ["y" * 5_000] * 40})], 0).values()
    assert "output" not in json.loads(named)
    assert json.loads(named)["index"] == 0


def test_what_no_json_can_hold_is_kept_all_the_same() -> None:
    """Half of a surrogate pair, which models write, does not break a settlement."""
    (kept,) = fields("accepted", "", ATTEMPT, [example(output={"a": "\ud800"})], 0).values()
    assert json.loads(kept)["output"] == {"a": "\ufffd"}
