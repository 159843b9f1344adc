"""`genfleet collect` killed again and again while results stream in, and every format of export."""

from __future__ import annotations

import csv
import json
import signal
from functools import partial
from pathlib import Path

import duckdb
from fleet_bench import Fleet

from ledger.parts import Parts

COUNT = 400


def test_a_collector_that_is_killed_loses_and_doubles_nothing(fleet: Fleet) -> None:
    """Whatever it was doing when it was killed, the part files together hold each example and attempt once."""
    # So slow that it outlasts the collectors on a busy machine.
    fleet.provide(latency_seconds=1.0, faults={"500": 0.1, "malformed": 0.1})
    fleet.worker(processes=1, concurrency=12)
    job = fleet.submit("small", "--count", str(COUNT))
    to = fleet.folder / "out"
    for kind in ("accepted", "attempts", "rejected", "accepted"):
        command = fleet.start("collect", job, "--to", str(to))
        new_part = partial(_new_files, to, kind, _new_files(to, kind, set()))
        # Each kind is written at its own moment, so that the kill meets a different one.
        fleet.until(new_part, f"a part of {kind} is there")
        command.end(signal.SIGKILL)
    assert fleet.status(job).state == "running"
    fleet.provider.control(latency_seconds=0.05)
    fleet.genfleet("collect", job, "--to", str(to))

    status = fleet.status(job)
    assert (status.state, status.uncollected) == ("complete", 0)
    parts = Parts(to)
    accepted, rejected = ([example["id"] for example in parts.iterate(kind)] for kind in ("accepted", "rejected"))
    assert (len(accepted), len(rejected)) == (status.accepted, status.rejected)
    assert {*accepted, *rejected} == {f"{job}-{index:06d}" for index in range(COUNT)}
    attempts = [(attempt["unit"], attempt["attempt"]) for attempt in parts.iterate("attempts")]
    assert len(attempts) == len(set(attempts)) == status.attempts == fleet.billed("calls")
    _exports_hold_every_example(fleet, job, to, status.accepted)


def _exports_hold_every_example(fleet: Fleet, job: str, to: Path, count: int) -> None:
    names = ("x.jsonl", "x.parquet", "x.csv", "x.chat.jsonl")
    for command in [fleet.start("export", "--from", str(to), "--to", name) for name in names]:
        assert command.wait().code == 0, command.err
    lines = (fleet.folder / "x.jsonl").read_text("utf-8").splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert len(ids) == count
    assert ids == sorted(set(ids))
    with duckdb.connect() as connection:
        connection.execute(f"SELECT id, output->>'question' FROM '{fleet.folder / 'x.parquet'}' ORDER BY index")
        columns = connection.fetchall()
    assert columns == [(line["id"], line["output"]["question"]) for line in map(json.loads, lines)]
    with (fleet.folder / "x.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["id"], row["output.question"]) for row in csv.DictReader(file)] == columns
    talks = (fleet.folder / "x.chat.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(talk)["messages"][0] for talk in talks] == [
        {"role": "user", "content": question} for _, question in columns
    ]


def _new_files(folder: Path, kind: str, known: set[str]) -> set[str]:
    return {path.name for path in (folder / kind).glob("part-*")} - known
