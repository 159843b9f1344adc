"""Parts of a fleet that are of another version: of the ledger's format, or of a recipe's output class."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos_run import Machine, Run
from fleet_bench import Done

from ledger import keys
from ledger.format import FORMAT

pytestmark = pytest.mark.chaos

_CARDS = """
from pydantic import BaseModel, ConfigDict


class small(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question: str
    answer: str  # {remark}
"""
#: A recipe whose output is a class that stands beside it.
_OUTPUT = 'output = "cards:small"'


def folder_of(run: Run, remark: str) -> str:
    """A machine's folder of recipes' classes; another remark makes it another version, though it checks the same."""
    folder = run.folder / f"recipes-{remark}"
    folder.mkdir(exist_ok=True)
    (folder / "cards.py").write_text(_CARDS.format(remark=remark))
    return str(folder)


def producer_has(run: Run, remark: str) -> None:
    """The producer's own copy, beside its recipe."""
    run.recipe(_OUTPUT)
    (run.folder / "recipes" / "cards.py").write_text(_CARDS.format(remark=remark))


def refused(run: Run, machine: Machine) -> list[str]:
    """What the machine's workers have logged of jobs that they do not take."""
    return [line for line in machine.command.err.splitlines() if f"job {run.job} is not taken" in line]


def made_by(run: Run) -> set[str]:
    """The worker processes that made an attempt, by the process id of their supervisor."""
    assert run.census is not None
    return {re.findall(r"-(\d+)-[0-9a-f]{4}-\d+-", row["worker"])[0] for row in run.census.disk.attempts}


def another_version(folder: Path, number: int) -> dict[str, str]:
    """Variables under which genfleet keeps its ledger in another format, as a later version will."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(f"import ledger.format\n\nledger.format.FORMAT = {number}\n")
    return {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}


def names_both(done: Done, one: int, other: int) -> bool:
    """Whether a command has ended as for a person's mistake, with one sentence of both formats."""
    said = [line for line in done.err.splitlines() if "format" in line]
    return (
        done.code == 2
        and "Traceback" not in done.err
        and len(said) == 1
        and f"format {one}" in said[0]
        and f"format {other}" in said[0]
    )


@pytest.mark.chaos(representative=True)
def test_another_format_is_refused(chaos: Callable[..., Run]) -> None:
    """Worker, producer, collector and reader of a later version end with a sentence; those that fit go on."""
    with chaos() as run:
        run.go()
        later = another_version(run.folder / "later", 99)
        before = run.broker.client.hgetall(keys.job(run.job, "todo")).keys()
        for command in (
            ("worker", "--processes", "1"),
            ("submit", "small", "--count", "7"),
            ("collect", run.job, "--to", str(run.folder / "elsewhere")),
            ("status", run.job),
        ):
            done = run.fleet.genfleet(*command, code=None, **later)
            assert names_both(done, FORMAT, 99), done
        # Celery's own command, which nobody watches: it says the same among its own lines.
        plain = run.fleet.plain_worker("later", **later).wait()
        assert plain.code != 0
        assert f"is of format {FORMAT}, and this version of genfleet keeps format 99" in plain.err + plain.out
        assert "Traceback" not in plain.err
        assert run.broker.client.get(keys.FORMAT) == str(FORMAT).encode()
        assert before
        run.ends()
        assert len(made_by(run)) <= run.shape.machines


def test_whoever_is_first_sets_the_format(chaos: Callable[..., Run]) -> None:
    """In an empty database the later version goes, and then this one does not."""
    with chaos() as run:
        later = another_version(run.folder / "later", 99)
        run.fleet.genfleet("submit", "small", "--count", "7", **later)
        assert names_both(run.fleet.genfleet("submit", "small", "--count", "7", code=None), FORMAT, 99)
        assert names_both(run.fleet.genfleet("worker", "--processes", "1", code=None), FORMAT, 99)


@pytest.mark.chaos(representative=True)
def test_a_worker_with_another_class_takes_nothing_of_the_job(chaos: Callable[..., Run]) -> None:
    """It says so once for each of its processes, naming recipe and class, and the others make all of it."""
    with chaos() as run:
        producer_has(run, "one")
        good = run.workers(1, GENFLEET_RECIPES=folder_of(run, "one"))[0]
        other = run.workers(1, GENFLEET_RECIPES=folder_of(run, "two"))[0]
        run.submit()
        run.collector = run.collect()
        run.ends()
        assert made_by(run) == {str(good.command.pid)}
        run.fleet.until(lambda: len(refused(run, other)) == run.shape.processes, "each process has said so", 30)
        assert all("recipe small" in line and "cards:small" in line for line in refused(run, other))
        assert refused(run, good) == []


def test_nobody_can_take_the_job(chaos: Callable[..., Run]) -> None:
    """With workers of another version and of none, `status` and `watch` say why nothing happens, until one has it."""
    with chaos() as run:
        producer_has(run, "one")
        empty = run.folder / "recipes-none"
        empty.mkdir()
        run.workers(1, GENFLEET_RECIPES=folder_of(run, "two"))
        run.workers(1, GENFLEET_RECIPES=str(empty))
        run.submit()
        run.collector = run.collect()
        run.fleet.until(lambda: run.fleet.status(run.job).note, "the job has a note", 30)
        note = run.fleet.status(run.job).note or ""
        assert "no worker of the fleet can take it" in note
        assert "cards:small" in note
        assert run.fleet.status(run.job).state == "running"
        assert "no worker of the fleet can take it" in run.fleet.genfleet("status", run.job, "--json").out
        watch = run.fleet.start("watch", run.job, COLUMNS="400")
        run.fleet.until(lambda: "no worker of the fleet" in watch.out + watch.err, "watch says so too", 30)
        assert run.fleet.billed("calls") == 0

        good = run.workers(1, GENFLEET_RECIPES=folder_of(run, "one"))[0]
        run.ends()
        assert run.fleet.status(run.job).note is None
        assert made_by(run) == {str(good.command.pid)}
        watch.kill()


def test_the_class_changes_under_a_running_job(chaos: Callable[..., Run]) -> None:
    """The same submission with a changed class: workers of the old one end their calls and give back what waits."""
    with chaos() as run:
        producer_has(run, "one")
        old = run.workers(1, GENFLEET_RECIPES=folder_of(run, "one"))[0]
        run.begin()
        run.at(0.2)
        producer_has(run, "two")
        with run.slow_calls():
            run.submit()
        run.fleet.until(lambda: len(refused(run, old)) == run.shape.processes, "the old workers have said so", 30)
        run.fleet.until(lambda: not run.leases(), "their calls have ended", 30)
        made = run.accepted()
        assert made < run.shape.count
        assert "no worker of the fleet" in (run.fleet.until(lambda: run.fleet.status(run.job).note, "a note", 30) or "")

        new = run.workers(1, GENFLEET_RECIPES=folder_of(run, "two"))[0]
        run.ends()
        assert made_by(run) == {str(old.command.pid), str(new.command.pid)}
        by_old = (
            [row for row in run.census.disk.attempts if f"-{old.command.pid}-" in row["worker"]] if run.census else []
        )
        assert len(by_old) == made
        run.note(f"{made} by the old class, {run.shape.count - made} by the new one")
