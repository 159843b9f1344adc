"""What stands in the ledger, on workers' disks and in results, where somebody else has put it there."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from hypothesis import strategies as st

from config.errors import UserError
from config.models import model
from config.recipe import Recipe
from config.recipe_check import output_problems
from fuzz.target import JSON, JSON_PIECES, Target, corpus, damaged, file_of
from ledger import budget, fleet, history, jobs, keys, latest, learned, limits, restored, todo
from ledger.damaged import Damaged, amount, job_name, whole
from ledger.jobs import Spec, spec_of
from ledger.parts import Parts, PartsError
from ledger.results import Results
from ledger.status import status_of
from ledger.todo import Item, facts_of, task_of
from workers.journal import Journal

MODEL = "anthropic/claude-haiku-4.5"
JOB = "small-0123456789"
RECIPE = Recipe.model_validate(
    {
        "name": "small",
        "model": MODEL,
        "prompt": "{{ n }}",
        "axes": {"n": ["1"]},
        "output": {"type": "object", "properties": {"a": {"type": "string"}}},
    }
)
SPEC = Spec(recipes=(RECIPE,), model=MODEL, total=3, seed=0)
ITEM = Item(unit=0, recipe=0, first=0, count=1, fraction=0.0, variables={"n": "1"}, prompt_bytes=300)
PIECES = [
    *JSON_PIECES,
    b" ",
    b"true",
    b"0",
    b"1e999",
    b"\\ud800",
    b'"os:system"',
    b'"output":',
    b'"recipes":[]',
    b'"x":1',
    b"99999999999999999999",
    b"[" * 500,
    b"{{ a }}",
]


def any_spec(data: bytes) -> None:
    """What a job is, is one that can be worked on, or an error in a sentence."""
    try:
        spec = spec_of(JOB, data)
    except Damaged as damaged_:
        assert JOB in str(damaged_)
        return
    assert {recipe.model for recipe in spec.recipes} == {spec.model}
    for recipe in spec.recipes:
        if not output_problems(recipe):
            recipe.checked_output.read('{"a": "b"}', 1, {})


def any_task(data: bytes) -> None:
    """A task on a job's list is one as a producer writes it, or none; and its unit and its job too."""
    for facts in (facts_of(data), task_of(data.decode("utf-8", "replace"))):
        if facts is not None:
            assert {"recipe", "first", "count", "variables"} <= facts.keys()
            assert facts["recipe"] >= 0 <= facts["first"]
            assert 1 <= facts["count"] <= 100
            assert isinstance(facts["variables"], dict)
    name, number, limit = job_name(data), whole(data), amount(data)
    assert name is None or not {"/", ".", ":", " "} & set(name)
    assert number is None or 0 <= number < 2**53 * 2
    assert limit is None or 0 < limit < float("inf")


def any_result(given: tuple[bytes, bytes]) -> None:
    """An entry of the results is stored whole, or refused whole with an error that names it; nothing is half done."""
    attempt, examples = given
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(Path(folder))
        try:
            parts.write([("1-1", attempt, examples)])
        except PartsError as error:
            assert "1-1" in str(error)
            assert parts.count("accepted") == parts.count("rejected") == parts.count("attempts") == 0
        else:
            stored = [*parts.iterate("accepted"), *parts.iterate("rejected")]
            assert len(stored) == len(json.loads(examples))
            assert len(list(parts.iterate("attempts"))) == 1
        parts.close()


def any_journal(data: bytes) -> None:
    """Whatever stands in a dead worker's journal is given line by line, or passed over; the file goes."""
    with file_of(data, "dead.jsonl") as path:
        journal = Journal(path.parent, "alive")
        for left in journal.left_behind():
            json.dumps(left)
        assert not path.exists()


_VALUES = st.sampled_from(
    [
        "",
        "0",
        "-1",
        "1e999",
        "nan",
        "inf",
        "x",
        "\xff",
        "{",
        "[]",
        '["a"]',
        '[["a", 1]]',
        "99999999999999999999",
        "running",
        " ",
    ]
) | st.text(max_size=6)
_PLACES = {
    keys.JOBS: ["x"],
    keys.WORKERS: ["x"],
    keys.BUDGET: ["per_day", "day", "spent", "reserved", "unknown", "declared"],
    keys.model(MODEL): [
        "rpm",
        "tpm",
        "concurrent",
        "told_rpm",
        "guess_rpm",
        "in_flight",
        "share",
        "refused",
        "minute_tokens",
    ],
    keys.learned(MODEL, "small"): ["n", "cost", "cost2", "ratio", "completion", "latency", "p99"],
    keys.job(JOB): [
        "state",
        "model",
        "weight",
        "total",
        "units",
        "cursor",
        "accepted",
        "spent",
        "first_at",
        "budget",
        "note",
    ],
    keys.job(JOB, "spec"): ["x"],
    keys.job(JOB, "todo"): ["0", "-1", "x", "1e3"],
    keys.job(JOB, "leases"): ["0", "x"],
    keys.job(JOB, "rejected"): ["0", "x"],
    keys.job(JOB, "reasons"): ["rejected:invalid", "x"],
    keys.job(JOB, "results"): ["attempt", "examples", "x"],
    keys.job(JOB, "latest"): ["accepted 0", "x"],
    keys.job(JOB, "history"): ["accepted", "x"],
    keys.history(MODEL): ["requests", "x"],
    keys.worker("w"): ["x"],
    keys.worker("w", "waiting"): ["x"],
}


@st.composite
def _garbage(draw: st.DrawFn) -> list[tuple[str, str, dict[str, str]]]:
    """Some of the ledger's keys, each of some type and with some fields."""
    found = []
    for name in draw(st.lists(st.sampled_from(sorted(_PLACES)), min_size=1, max_size=4, unique=True)):
        kind = draw(
            st.sampled_from(["as it is", "as it is", "as it is", "string", "hash", "list", "set", "zset", "stream"])
        )
        fields = draw(
            st.dictionaries(st.sampled_from(_PLACES[name]) | st.text(max_size=5), _VALUES, min_size=1, max_size=4)
        )
        found.append((name, kind, fields))
    return found


_KINDS = {keys.JOBS: "zset", keys.WORKERS: "set", keys.job(JOB, "spec"): "string", keys.job(JOB, "results"): "stream"}
_KINDS |= {keys.job(JOB, "history"): "stream", keys.history(MODEL): "stream", keys.worker("w"): "string"}
_KINDS |= {keys.worker("w", "waiting"): "string"}


def _put(client: Any, name: str, kind: str, fields: dict[str, str]) -> None:
    raw = {field.encode("latin-1", "replace"): value.encode("latin-1", "replace") for field, value in fields.items()}
    natural = _KINDS.get(name, "hash")
    if kind == "as it is":
        kind = natural
    if kind != natural or kind == "string":
        client.delete(name)
    match kind:
        case "string":
            client.set(name, next(iter(raw.values())))
        case "hash":
            client.hset(name, mapping=raw)
        case "list":
            client.lpush(name, *raw.values())
        case "set":
            client.sadd(name, *raw.values())
        case "zset":
            client.zadd(name, dict.fromkeys(raw.values(), 1.0))
        case _:
            client.xadd(name, raw)


def _ledger(client: Any) -> None:
    """A ledger with a job in it, a model and a worker."""
    client.flushdb()
    asked = model(MODEL)
    limits.declare(client, asked)
    jobs.create(client, JOB, SPEC, asked, [asked], 3)
    todo.register(client, JOB, SPEC, [ITEM])
    fleet.beat(client, "w", [(JOB, 0)])


def with_broker(client: Any) -> dict[str, Target]:
    """The targets that need a broker of their own."""

    def any_ledger(garbage: list[tuple[str, str, dict[str, str]]]) -> None:
        """Whatever stands in the ledger, each reading of it is a value or an error that a person is told."""
        _ledger(client)
        for name, kind, fields in garbage:
            _put(client, name, kind, fields)
        readings = [
            lambda: status_of(client, JOB),
            lambda: jobs.spec(client, JOB),
            lambda: jobs.running(client),
            lambda: jobs.find(client, None),
            lambda: jobs.set_weight(client, JOB, 2.0),
            lambda: jobs.set_state(client, JOB, "paused"),
            lambda: limits.read(client, MODEL),
            lambda: limits.use(client, MODEL),
            lambda: limits.change(client, MODEL, {"requests_per_minute": 5.0}),
            lambda: budget.read(client),
            lambda: fleet.alive(client),
            lambda: fleet.dead(client),
            lambda: fleet.reap(client, "w", now=True),
            lambda: learned.read(client, [RECIPE]),
            lambda: list(todo.unsettled(client, JOB)),
            lambda: todo.reopen(client, JOB, todo.rejected(client, JOB)),
            lambda: todo.cursor(client, JOB),
            lambda: restored.known(client, JOB),
            lambda: jobs.state(client, JOB),
            lambda: list(todo.named(client, JOB, [0, 1])),
            lambda: Results(client, JOB).read("0", 10),
            lambda: latest.read(client, JOB),
            lambda: history.record(client),
            lambda: history.of_job(client, JOB),
            lambda: history.of_model(client, MODEL),
        ]
        for reading in readings:
            with suppress(UserError, redis.RedisError):
                reading()
        # A job that cannot be read keeps no other one waiting, unless there is no list of jobs at all.
        good = "small-fedcba9876"
        with suppress(redis.ResponseError):
            jobs.create(client, good, SPEC, model(MODEL), [model(MODEL)], 3)
            assert good in jobs.running(client)

    return {"ledger": Target(_garbage(), any_ledger)}


_SPECS = [SPEC.model_dump_json(by_alias=True).encode(), *corpus("records")]
_TODO = ITEM.to_todo(RECIPE)
_TASKS = [_TODO.encode(), _TODO.split(" ", 3)[3].encode(), JOB.encode(), b"100"]
_ATTEMPT = (
    b'{"job": "small-0123456789", "unit": 0, "attempt": 1, "at": "2026-11-23T04:30:50.162+00:00", "cost_nano_usd": 1}'
)
_EXAMPLES = b'[{"id": "a", "index": 0, "outcome": "accepted", "output": {}}, {"id": "b", "outcome": "rejected"}]'
_ENTRIES = st.tuples(
    damaged([_ATTEMPT], PIECES) | JSON.map(lambda value: json.dumps(value).encode()),
    damaged([_EXAMPLES], PIECES) | JSON.map(lambda value: json.dumps([value]).encode()),
)
_JOURNAL = b'{"token": "t", "job": "j", "model": "m", "unit": 0, "attempt": {}, "examples": [], "settlement": {}}\n'
TARGETS = {
    "specs of jobs": Target(damaged(_SPECS, PIECES), any_spec),
    "tasks on lists": Target(damaged(_TASKS, PIECES) | st.binary(max_size=100), any_task),
    "results": Target(_ENTRIES, any_result),
    "journals": Target(damaged([_JOURNAL * 3], [*PIECES, b"\n"]), any_journal),
}
