"""`genfleet estimate`, and what `run` and `submit` say before they start: held against the bill."""

from __future__ import annotations

import json
from typing import Any

from fleet_bench import MODEL, QUEUE, Fleet

from console.provider.composing import built_in_answer
from ledger import jobs, keys

COUNT = 300
JOB = ("small", "--count", str(COUNT))


def estimate(fleet: Fleet, *arguments: str) -> dict[str, Any]:
    """An estimate as one object."""
    said: dict[str, Any] = json.loads(fleet.genfleet("estimate", *arguments, "--json").out)
    return said


def test_the_bill_is_inside_the_range_that_a_pilot_gave(fleet: Fleet) -> None:
    """Before any call it guesses and pays nothing; after a pilot of 20 the bill of 300 is inside its range."""
    fleet.provide(latency_seconds=0.2, mean_completion_tokens=120, faults={"malformed": 0.05, "500": 0.05})
    guess = estimate(fleet, *JOB)
    assert (guess["guessed"], guess["range_share"], guess["pilot"]) == (["small"], None, None)
    assert fleet.billed("calls") == 0
    assert fleet.redis.keys() == [keys.FORMAT.encode()]

    asked = fleet.genfleet("estimate", *JOB, "--pilot", "--json")
    after, paid = json.loads(asked.out), fleet.billed()
    assert after["seen_calls"] == {"small": 20}
    assert after["range_share"] == 0.9
    assert "never more than" in asked.err
    pilot = fleet.status(after["pilot"])
    assert (pilot.total, pilot.state, pilot.cost_nano_usd) == (20, "complete", paid)
    assert pilot.budget_usd is not None
    assert pilot.cost_usd < pilot.budget_usd < after["worst_usd"] / 10
    assert len(fleet.parts(after["pilot"], "accepted")) == pilot.accepted

    calls = fleet.billed("calls")
    again = estimate(fleet, *JOB, "--pilot")
    assert (again["pilot"], again["cost_usd"]) == (None, after["cost_usd"])
    assert fleet.billed("calls") == calls

    run = fleet.genfleet("run", *JOB, "--json")
    made = json.loads(run.out)
    cost = (fleet.billed() - paid) / 1e9
    assert made["state"] == "complete"
    assert after["cost_low_usd"] <= cost <= after["cost_high_usd"] < after["worst_usd"]
    assert guess["cost_low_usd"] <= cost <= guess["cost_high_usd"]
    told = next(line for line in run.err.splitlines() if line.startswith(f"{made['job']}: probably $"))
    assert "from 20 calls of small" in told
    print(f"\n{told}\nbilled ${cost:.4f}, {made['seconds']:.1f} s; guessed {guess['cost_low_usd']:.4f} to", end=" ")
    print(f"{guess['cost_high_usd']:.4f}; by limit, seconds: {after['seconds_under']}, in all {after['seconds']}")

    better = estimate(fleet, *JOB)
    assert better["cost_high_usd"] - better["cost_low_usd"] < (after["cost_high_usd"] - after["cost_low_usd"]) / 2
    assert "Cost    probably $" in fleet.genfleet("estimate", *JOB).out
    assert "probably" not in fleet.genfleet("run", *JOB).err


def test_a_pilot_alone_on_rows_of_all_sizes(alone: Fleet) -> None:
    """Without REDIS_URL and before any job it only looks; a pilot's rows are from all over the file, from its input."""
    alone.provide(built_in_answer, latency_seconds=0.05)
    texts = ["Il ponte fu costruito in pietra e oggi è chiuso alle automobili. " * (1 + n // 5) for n in range(200)]
    rows = "".join(json.dumps({"passage": f"{n}. {text}"}) + "\n" for n, text in enumerate(texts)).encode()
    cold = json.loads(alone.genfleet("estimate", "rag", "--rows", "-", "--json", stdin=rows).out)
    assert (cold["total"], cold["guessed"]) == (200, ["rag"])
    assert not (alone.data / "broker").exists()

    (alone.folder / "rows.jsonl").write_bytes(rows)
    job = ("rag", "--rows", "rows.jsonl")
    after = estimate(alone, *job, "--pilot")
    passages = [example["variables"]["passage"] for example in alone.parts(after["pilot"], "accepted")]
    places = sorted(int(passage.split(".")[0]) for passage in passages)
    assert places == list(range(5, 200, 10))
    paid = alone.billed()
    said = alone.genfleet("run", *job, "--budget", "5").err
    assert after["cost_low_usd"] <= (alone.billed() - paid) / 1e9 <= after["cost_high_usd"]
    assert "The budget" not in said
    assert not alone.left()


def test_a_budget_below_the_cost_is_named_and_nothing_is_delayed(fleet: Fleet) -> None:
    """Before it enqueues, submit says on standard error what a budget will pay for; a script's submit says nothing."""
    estimate(fleet, *JOB, "--pilot")
    said = fleet.genfleet("submit", *JOB, "--budget", "0.02")
    job = said.out.strip()
    assert said.out == f"{job}\n"
    first, second = said.err.splitlines()
    assert first.startswith(f"{job}: probably $")
    assert second.startswith("The budget of $0.0200 is below that: it will pay for about ")
    expected = int(second.split(" about ")[1].split()[0])
    fleet.worker()
    status = fleet.until_state(job, "budget")
    assert 0.5 * expected < status.settled < 1.5 * expected + 10

    more = fleet.genfleet("submit", *JOB, "--budget", "9")
    assert f"{job}, the {COUNT - status.settled} examples left: probably $" in more.err
    fleet.until_state(job, "complete")

    code = "from producers import submit; print(submit('small', count=5, seed=7).id)"
    script = fleet.python(["-c", code], "script").wait()
    assert (script.code, len(script.out.splitlines()), script.err) == (0, 1, "")


def test_an_estimate_that_fails_is_left_out(fleet: Fleet) -> None:
    """A ledger whose figures cannot be read costs a submission its estimate and nothing else."""
    fleet.redis.set(keys.learned(MODEL, "small"), "of another kind")
    said = fleet.genfleet("submit", *JOB)
    assert said.err == ""
    assert fleet.redis.llen(f"{QUEUE}:{said.out.strip()}") == COUNT


def test_a_pilot_is_refused_where_it_would_be_the_job(fleet: Fleet) -> None:
    """A pilot as large as its job, a recipe without count: a sentence each, exit code 2, and nothing is paid."""
    small = fleet.genfleet("estimate", "small", "--count", "20", "--pilot", code=2)
    assert small.err == "count: a job of 20 calls is no larger than a pilot of 20; run it with a --budget.\n"
    assert "--count" in fleet.genfleet("estimate", "small", code=2).err
    assert jobs.ids(fleet.redis) == []
    assert fleet.billed("calls") == 0
