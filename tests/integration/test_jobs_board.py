"""What the Jobs tab reads from the ledger."""

from __future__ import annotations

import itertools
import json

import pytest
from ledger_bench import Bench

from config.money import NANO
from console.jobs_page import board as board_module
from console.jobs_page.actions import act
from console.jobs_page.board import LISTED, Board
from ledger import fleet, history, jobs, keys, latest
from ledger.jobs import JobNotFound
from ledger.status import status_of, statuses_of
from producers.plan import SubmitError


def parts(board: Board, cursor: str = "") -> dict[str, object]:
    """What has changed since the cursor."""
    found: dict[str, object] = board.since(cursor)["parts"]
    return found


def test_many_jobs_are_read_at_once_as_one_by_one(bench: Bench) -> None:
    """Readings of several jobs are those of each; one that cannot be read is left out and keeps no other."""
    model = bench.model()
    made = [bench.job(model, 3) for _ in range(3)]
    made[0].granted(0)
    made[1].granted(0)
    made[1].settle(0, cost=5)
    names = [job.id for job in made]
    assert statuses_of(bench.redis, names) == [status_of(bench.redis, name) for name in names]
    assert statuses_of(bench.redis, [*names, "none-0123456789"]) == statuses_of(bench.redis, names)
    bench.redis.hset(keys.job(names[2]), "accepted", "many")
    assert statuses_of(bench.redis, names) == statuses_of(bench.redis, names[:2])
    assert statuses_of(bench.redis, []) == []


def test_of_many_readings_some_are_taken_evenly(bench: Bench) -> None:
    """A long history is as quick to read as a short one, from its first reading to its last, in their order."""
    job = bench.job(bench.model(), 5_000)
    name = keys.job(job.id, "history")
    for at in range(5_000):
        figures = dict.fromkeys(("rejected", "attempts", "prompt_tokens", "completion_tokens", "spent", "running"), 0)
        bench.redis.xadd(name, {"accepted": at} | figures, id=f"{10_000 * (at + 1)}-0")
    every = history.of_job(bench.redis, job.id)
    some = history.of_job(bench.redis, job.id, most=100)
    assert len(every) == 5_000
    assert 100 <= len(some) <= 101
    assert (some[0], some[-1]) == (every[0], every[-1])
    gaps = [after.at - before.at for before, after in itertools.pairwise(some)]
    assert max(gaps) <= 2 * min(gaps)
    assert history.of_job(bench.redis, job.id, since=some[-2].at, until=some[-1].at - 1) == every[-50:-1]
    assert history.of_job(bench.redis, job.id, since=60_000, most=100) == []
    # As for a page that has slept.
    assert 100 <= len(history.of_job(bench.redis, job.id, since=every[2_000].at, most=100)) <= 101
    assert history.of_job(bench.redis, job.id, since=every[-100].at, most=100) == every[-100:]


def test_newest_examples_are_read_by_what_became_of_them(bench: Bench) -> None:
    """The newest first, and what is none is passed over."""
    job = bench.job(bench.model())
    for place, at in enumerate(["2026-01-01", "2026-01-03", "2026-01-02"]):
        bench.redis.hset(keys.job(job.id, "latest"), f"accepted {place}", json.dumps({"at": at}))
    bench.redis.hset(keys.job(job.id, "latest"), "rejected:invalid 0", json.dumps({"at": "2026-01-01", "raw": "?"}))
    for field, value in (("accepted 3", "{"), ("accepted 4", "[1]"), ("accepted 5", '{"a": 1}'), (b"\xff 0", "{}")):
        bench.redis.hset(keys.job(job.id, "latest"), field, value)
    found = latest.read(bench.redis, job.id)
    assert [one["at"] for one in found.accepted] == ["2026-01-03", "2026-01-02", "2026-01-01"]
    assert [one["raw"] for one in found.causes["rejected:invalid"]] == ["?"]
    assert latest.read(bench.redis, "none-0123456789") == latest.Latest([], {})


def test_the_board_has_the_ledgers_figures(bench: Bench) -> None:
    """Jobs, the model's use, workers with their share of the calls, and the money of the day."""
    model = bench.model(price=(1, 1), requests_per_minute=60_000, concurrent_requests=10)
    job = bench.job(model, 10, budget=NANO)
    bench.advance(1)
    for worker in ("one", "two"):
        fleet.beat(bench.redis, worker, [])
    for unit in range(4):
        bench.advance(0.1)
        job.granted(unit, worker="one" if unit < 3 else "two")
    job.settle(0, worker="one", cost=70, prompt_tokens=30, completion_tokens=40)
    found = parts(Board(bench.redis))
    assert found["order"] == found["whole"] == [job.id]
    card = found[f"job {job.id}"]
    assert isinstance(card, dict)
    status = job.status()
    assert {name: card[name] for name in ("accepted", "running", "waiting", "attempts", "cost_usd", "budget_usd")} == {
        name: getattr(status, name) for name in ("accepted", "running", "waiting", "attempts", "cost_usd", "budget_usd")
    }
    (shown,) = found["models"]  # type: ignore[misc]
    assert [(one["name"], one["used"], one["limit"]) for one in shown["gauges"]] == [
        ("requests", 4, 60_000), ("tokens", shown["gauges"][1]["used"], None), ("concurrent", 3, 10),
    ]  # fmt: skip
    workers = {one["worker"]: (one["in_flight"], one["share"]) for one in found["workers"]}  # type: ignore[attr-defined]
    assert workers == {"one": (2, 0.667), "two": (1, 0.333)}
    totals = found["fleet"]
    assert isinstance(totals, dict)
    assert (totals["running"], totals["in_flight"], totals["workers"]) == (1, 3, 2)
    assert totals["spent_usd"] == 70 / NANO


def test_the_board_sends_what_has_changed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that rests is sent once; however many look at once, the ledger is asked once."""
    monkeypatch.setattr(board_module, "_FRESH_SECONDS", 0.0)
    model = bench.model()
    rests, works = bench.job(model, 2), bench.job(model, 2)
    jobs.set_state(bench.redis, rests.id, "cancelled")
    board = Board(bench.redis)
    first = board.since("")
    works.granted(0)
    second = board.since(first["cursor"])
    assert f"job {works.id}" in second["parts"]
    assert f"job {rests.id}" not in second["parts"]
    monkeypatch.setattr(board_module, "_FRESH_SECONDS", 60.0)
    asked: list[object] = []
    monkeypatch.setattr(board, "_picture", lambda: asked.append(None))
    board.since("")
    assert parts(board, second["cursor"]) == {}
    assert asked == []


def test_of_very_many_jobs_the_newest_are_listed(bench: Bench) -> None:
    """So that a ledger of years is no slower to look at; how many are older is told."""
    model = bench.model()
    for place in range(LISTED + 7):
        bench.redis.zadd(keys.JOBS, {bench.job(model).id: place})
    found = parts(Board(bench.redis))
    assert isinstance(found["order"], list)
    assert (len(found["order"]), found["older"]) == (LISTED, 7)


def test_series_begin_with_the_job_and_go_on_where_the_page_left_off(bench: Bench) -> None:
    """First from zero at the first call; then only what has come since."""
    model = bench.model(requests_per_minute=600)
    job = bench.job(model, 10)
    board = Board(bench.redis)
    assert board.series(job.id, None) == {"job": None, "model": None}
    bench.advance(1)
    job.granted(0)
    job.settle(0, cost=NANO)
    bench.advance(10)
    bench.redis.xadd(keys.job(job.id, "history"), {**READING, "accepted": 1, "spent": NANO}, id=f"{bench.at // 1000}-0")
    columns = board.series(job.id, None)["job"]
    assert columns["accepted"] == [0, 1]
    assert columns["cost"] == [0.0, 1.0]
    assert columns["at"][1] - columns["at"][0] == 10
    bench.advance(10)
    bench.redis.xadd(keys.job(job.id, "history"), {**READING, "accepted": 2}, id=f"{bench.at // 1000}-0")
    assert board.series(job.id, columns["at"][1])["job"]["accepted"] == [2]
    assert board.series(job.id, columns["at"][1] + 10)["job"]["accepted"] == []
    with pytest.raises(JobNotFound):
        board.series("none-0123456789", None)


def test_a_job_that_ended_between_two_readings_ends_its_series_too(bench: Bench) -> None:
    """Nobody takes a reading after the last worker has gone: the counters of its end stand in the place of one."""
    job = bench.job(bench.model(), 1)
    board = Board(bench.redis)
    bench.advance(1)
    job.granted(0)
    bench.advance(3)
    job.settle(0, cost=NANO)
    assert job.status().state == "complete"
    columns = board.series(job.id, None)["job"]
    assert (columns["accepted"], columns["cost"]) == ([0, 1], [0.0, 1.0])
    assert board.series(job.id, columns["at"][-1])["job"]["accepted"] == []


READING = dict.fromkeys(
    ("accepted", "rejected", "attempts", "prompt_tokens", "completion_tokens", "spent", "running"), 0
)


def test_actions_refuse_what_is_no_job_and_no_amount(bench: Bench) -> None:
    """In a sentence; a beginning of an id, which a terminal takes, is not enough for a button."""
    job = bench.job(bench.model())
    with pytest.raises(JobNotFound):
        act(bench.redis, "none-0123456789", "pause", {})
    with pytest.raises(JobNotFound):
        act(bench.redis, job.id[:-1], "pause", {})
    for wrong in ("much", [1], -1, "nan"):
        with pytest.raises(SubmitError, match="amount"):
            act(bench.redis, job.id, "resume", {"budget": wrong})
    with pytest.raises(SubmitError, match="reason"):
        act(bench.redis, job.id, "retry", {"reason": 5})
    assert job.status().state == "running"
