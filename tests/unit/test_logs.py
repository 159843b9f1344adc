"""The log: a closed catalogue of events, in two forms, without what must not be told."""

from __future__ import annotations

import ast
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import logs
from config.events import BOUND, EVENTS, INFO, WARNING
from config.logs import bound, log, where
from config.settings import choose_log_format

ROOT = Path(__file__).parents[2]
PACKAGES = ("config", "ledger", "workers", "producers", "console")
#: Modules that use Python's logging themselves, and why.
USES_LOGGING = {
    "config/events.py": "names its levels",
    "config/logs.py": "is the log",
    "console/told_log.py": "moves the log above the live display",
}
#: Fields of the form itself.
RESERVED = {"at", "level", "event", "message"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the packages: its path in the repository and its syntax tree."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def logged(tree: ast.Module) -> Iterator[ast.Call]:
    """The calls of a module that log: of `log` and `say` by whatever names it has imported them."""
    names, owners = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "config.logs":
            names |= {alias.asname or alias.name for alias in node.names if alias.name in ("log", "say")}
        elif isinstance(node, ast.ImportFrom) and node.module == "config":
            owners |= {alias.asname or alias.name for alias in node.names if alias.name == "logs"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            owner, _, name = ast.unparse(node.func).rpartition(".")
            if (not owner and name in names) or (owner in owners and name in ("log", "say")):
                yield node


def name_of(call: ast.Call, place: str) -> str:
    """The event that a call logs, which must be written out."""
    assert len(call.args) == 1 and isinstance(call.args[0], ast.Constant), f"{place}: the event is no text of its own"
    return str(call.args[0].value)


def test_what_is_logged_is_in_the_catalogue() -> None:
    """Every event that any module logs is in the catalogue, with just its fields; the job and task may be bound."""
    found = set()
    for path, tree in modules():
        for call in logged(tree):
            place = f"{path}:{call.lineno}"
            name = name_of(call, place)
            assert name in EVENTS, f"{place}: {name} is not in config/events.py"
            given = {keyword.arg for keyword in call.keywords}
            wanted = set(EVENTS[name].fields)
            assert given <= wanted | set(BOUND), f"{place}: {name} has no field {given - wanted}"
            assert wanted - given <= set(BOUND), f"{place}: {name} needs {wanted - given}"
            found.add(name)
    # What the log itself makes of a library's lines, and of an error that nobody caught.
    assert found | {"library", "task_failed", "crashed"} == set(EVENTS)


def test_nobody_logs_in_another_way() -> None:
    """Python's logging is used by the modules that are listed here alone, and none is listed in vain."""
    users = set()
    for path, tree in modules():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "logging" for name in names):
                users.add(path)
    assert users == set(USES_LOGGING)


def test_no_errors_text_is_logged() -> None:
    """Of an error that could quote a provider, no call passes the text on: str(error), repr(error) or the error."""
    for path, tree in modules():
        handlers = [node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name]
        for call in logged(tree):
            for keyword in call.keywords:
                quoted = isinstance(keyword.value, ast.Name) and keyword.value.id in handlers
                ours = keyword.arg in ("why", "path") and name_of(call, path) in OUR_WORDS
                assert not quoted or ours, f"{path}:{call.lineno}: {keyword.arg} may quote anything"


#: Events whose error is one of ours: its sentence was written for people.
OUR_WORDS = {"message_discarded", "answer_set_aside"}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_well_formed(name: str) -> None:
    """Its name is in snake case, its sentence begins without a capital of its own, and its fields collide with none."""
    event = EVENTS[name]
    assert name == name.lower() and name.isidentifier()
    assert not RESERVED & set(event.fields)
    assert not event.says.endswith(".")
    if event.level >= WARNING:
        assert event.says[0] in "{abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def form(clean: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Makes the log take a form, and gives the lines that were logged since."""
    before = logging.root.handlers[:], logging.root.level, sys.excepthook, threading.excepthook

    def take(name: Any) -> Any:
        clean.setenv("GENFLEET_LOG_FORMAT", "plain")  # put back at the end
        choose_log_format(name)
        logs.configure()

        def lines() -> list[str]:
            return capsys.readouterr().err.splitlines()

        return lines

    yield take
    logging.root.handlers[:] = before[0]
    logging.root.setLevel(before[1])
    sys.excepthook, threading.excepthook = before[2:]
    logging.captureWarnings(False)


def test_plain_lines_are_for_people(form: Any) -> None:
    """What a command says is told as it is; what somebody should look at with its time and level, on one line."""
    lines = form("plain")
    log("worker_started", processes=2, models="a, b")
    with bound(job="quiz-1", unit=7):
        log("job_stopped", job="quiz-1", why="it has\nno key.")
        log("journal_unwritable", why="No space left on device")
    log("job_unannounced")
    said, stopped, disk = lines()
    assert said == "2 worker processes take a, b"
    assert stopped.endswith("WARNING job quiz-1 is stopped: it has no key. (unit 7)")
    assert stopped.startswith("20")
    assert disk.endswith("WARNING the journal cannot be written (No space left on device) (job quiz-1, unit 7)")


def test_json_lines_are_for_machines(form: Any) -> None:
    """One object a line, with time, level, event, message, the event's fields and what is bound."""
    lines = form("json")
    with bound(job="quiz-1", unit=7):
        log("journal_unwritable", why="No space\nleft")
    (line,) = lines()
    told = json.loads(line)
    assert told.pop("at").startswith("20")
    assert told == {
        "level": "warning",
        "event": "journal_unwritable",
        "message": "the journal cannot be written (No space\nleft)",
        "why": "No space\nleft",
        "job": "quiz-1",
        "unit": 7,
    }


def test_libraries_take_the_same_way(form: Any) -> None:
    """Their warnings are one line each, an error in them by its type and place, without its text; the rest is quiet."""
    lines = form("json")
    other = logging.getLogger("somebody.else")
    other.info("nothing to see")
    try:
        int("sk-secret")
    except ValueError:
        other.warning("it broke\nsk-secret", exc_info=True)
    other.warning("two\nlines")
    line, second = lines()
    assert json.loads(second)["message"] == "two lines"
    told = json.loads(line)
    assert (told["event"], told["logger"]) == ("library", "somebody.else")
    assert told["message"].startswith("it broke (ValueError at test_logs.py:")
    assert "secret" not in line


def test_celerys_failed_tasks_are_told_without_their_text(form: Any) -> None:
    """A task that a mistake of ours ended is told by its id, its error's type and where; Celery would quote it."""
    lines = form("plain")
    try:
        {}["what the model said"]
    except KeyError as error:
        context = {"id": "quiz-1-7", "name": "generate.x", "exc": repr(error)}
        logging.getLogger("celery.app.trace").exception("Task %(name)s[%(id)s]: %(exc)s", context)
    (line,) = lines()
    assert "ERROR task quiz-1-7 ended by KeyError, a mistake of ours, at test_logs.py:" in line
    assert "model said" not in line


def test_where_is_the_way_that_an_error_came() -> None:
    """Files and lines, the innermost last, and no text."""
    try:
        json.loads("{sk-secret")
    except ValueError as error:
        way = where(error)
    assert way.startswith("test_logs.py:")
    assert way.split(" > ")[-1].startswith("decoder.py:")
    assert "secret" not in way
    assert where(ValueError("x")) == "no place"


def test_what_is_bound_ends_with_its_block(form: Any) -> None:
    """Fields hold inside the block, those of a block within it win, and other threads have none of them."""
    lines = form("json")
    with bound(job="a", unit=1):
        with bound(unit=2):
            log("journal_unwritable", why="x")
        thread = threading.Thread(target=log, args=("journal_unwritable",), kwargs={"why": "x"})
        thread.start()
        thread.join()
        log("journal_unwritable", why="x")
        # It is the whole process that waits, not this task.
        log("broker_trouble", trouble="x")
    assert [json.loads(line).get("unit") for line in lines()] == [2, None, 1, None]


_CRASH = """
import threading
from config import logs
from config.settings import choose_log_format
choose_log_format("json")
logs.configure()
def fall():
    raise ValueError("what the model said")
thread = threading.Thread(target=fall)
thread.start()
thread.join()
fall()
"""


def test_a_crash_is_an_event_too(clean: pytest.MonkeyPatch) -> None:
    """In JSON an error that nobody caught, in any thread, is one line without its text; the exit code tells of it."""
    done = subprocess.run([sys.executable, "-c", _CRASH], cwd=ROOT, capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [(one["event"], one["error"]) for one in told] == [("crashed", "ValueError")] * 2
    assert "model said" not in done.stderr


def test_the_log_needs_no_settings(clean: pytest.MonkeyPatch) -> None:
    """Where the settings cannot be used, the log is plain, so that this can be said."""
    clean.setenv("GENFLEET_LOG_FORMAT", "loud")
    assert not logs.as_json()
    assert EVENTS["notice"].level == INFO
