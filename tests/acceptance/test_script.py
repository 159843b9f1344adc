"""A script of the user's that enqueues a job and takes its results."""

from __future__ import annotations

import json
import signal

from fleet_bench import Fleet

SCRIPT = """
import json
from producers import submit

job = submit("small", count=200, budget_usd=5)
print(job.id, flush=True)
assert job.status().total == 200
for example in job.results():
    print(json.dumps(example), flush=True)
status = job.wait(timeout=30)
print(status.state, status.accepted, flush=True)
"""
WAITS = """
from producers import submit

job = submit("small", count=10, seed=1)
print(job.status().state, job.status().waiting)
try:
    job.wait(timeout=0.5)
except TimeoutError as error:
    print(error)
"""


def test_a_script_gets_each_result_once_and_may_be_run_again(fleet: Fleet) -> None:
    """Killed half-way and run again, it has the same job, sees every result once, and nothing is paid for twice."""
    fleet.provide(latency_seconds=0.3)
    (fleet.folder / "make.py").write_text(SCRIPT)
    fleet.worker(processes=1, concurrency=20)
    first = fleet.python(["make.py"], "script")
    fleet.until(lambda: len(first.out.splitlines()) > 40, "40 results have come")
    first.end(signal.SIGKILL)
    said = first.out.splitlines()
    before = [json.loads(line)["id"] for line in said[1:] if line.endswith("}")]
    assert len(set(before)) == len(before)

    again = fleet.python(["make.py"], "script").wait()
    assert again.code == 0, again.err
    job, *examples, last = again.out.splitlines()
    assert (job, last) == (said[0], "complete 200")
    found = [json.loads(line) for line in examples]
    assert {example["id"] for example in found} == {f"{job}-{index:06d}" for index in range(200)}
    assert len(found) == fleet.billed("billed_calls") == 200
    assert {"output", "variables", "messages", "usage", "cost_usd"} <= found[0].keys()
    assert [example["id"] for example in found[: len(before)]] == before


def test_waiting_for_a_job_ends_when_told(fleet: Fleet) -> None:
    """With no worker, a job waits in the queue, and `wait` gives up after its time with a sentence that says so."""
    (fleet.folder / "wait.py").write_text(WAITS)
    done = fleet.python(["wait.py"], "script").wait()
    assert done.code == 0, done.err
    state, sentence = done.out.splitlines()
    assert state == "running 10"
    assert sentence.endswith("still runs after 0.5 s: 0 of 10.")
