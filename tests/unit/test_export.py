"""Exports: every accepted example once, by index, with its text untouched, in every format."""

from __future__ import annotations

import csv
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.export import ExportError, export
from console.export_formats import FIELDS
from ledger.parts import Parts

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))
VALUE = st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT | st.integers(), max_size=3)
HARD = "null \"quotes\" , ; \t \\n \n \r\n \r \u2028 🙂 è \\u0000 {} 'apostrophe'"


def example(index: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"j-{index:06}",
        "index": index,
        "job": "j",
        "recipe": "quiz",
        "outcome": "accepted",
        "variables": {"materia": "storia", "argomento": {"tema": "Roma"}},
        "output": {"question": f"perché {index}?", "options": ["a", "b"]},
        "messages": [{"role": "user", "content": HARD}, {"role": "assistant", "content": "sì"}],
        "model": "m/1",
        "answered_by": None,
        "generation_id": "gen-1",
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "cached_tokens": 0},
        "cost_usd": 0.0001234567,
        "cost_nano_usd": 123457,
        "cost_source": "provider",
        "latency_seconds": 1.25,
        "attempts": 1,
        "at": "2025-01-02T03:04:05Z",
    } | changes


def job(directory: Path, examples: list[dict[str, Any]], batch: int = 3) -> Path:
    """A job's folder with these examples, spread over several parts."""
    parts = Parts(directory)
    for n in range(0, len(examples), batch):
        parts.write([(f"{n + 1}-0", b"{}", json.dumps(examples[n : n + batch]).encode())])
    parts.close()
    return directory


def jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def parquet(path: Path) -> list[dict[str, Any]]:
    relation = duckdb.sql(f"SELECT * FROM '{path}'")
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def test_jsonl(tmp_path: Path) -> None:
    """JSONL has the fields of the contract in their order, nested, by index, and nothing else."""
    order = random.Random(1).sample(range(100), 100)
    directory = job(tmp_path / "job", [example(n, output={"question": HARD, "n": 2**70 + n}) for n in order])
    assert export(directory, tmp_path / "new" / "data.jsonl") == 100
    rows = jsonl(tmp_path / "new" / "data.jsonl")
    assert [row["index"] for row in rows] == list(range(100))
    assert rows[7] == {field: example(7)[field] for field in FIELDS} | {"output": {"question": HARD, "n": 2**70 + 7}}
    assert list(rows[7]) == [
        "id", "index", "recipe", "variables", "output", "model", "answered_by", "generation_id", "usage",
        "cost_usd", "cost_source", "latency_seconds", "attempts", "at",
    ]  # fmt: skip
    assert "🙂 è" in (tmp_path / "new" / "data.jsonl").read_text(encoding="utf-8")


def test_chat(tmp_path: Path) -> None:
    """The ending .chat.jsonl, or the format by name, gives conversations alone."""
    directory = job(tmp_path / "job", [example(1), example(0, messages=[{"role": "user", "content": "x"}])])
    for to, named in ((tmp_path / "a.chat.jsonl", None), (tmp_path / "b.jsonl", "chat")):
        assert export(directory, to, named) == 2
        assert jsonl(to) == [
            {"messages": [{"role": "user", "content": "x"}]},
            {"messages": [{"role": "user", "content": HARD}, {"role": "assistant", "content": "sì"}]},
        ]


def test_parquet(tmp_path: Path) -> None:
    """Parquet keeps types, its usage is a struct, output and variables are JSON text whatever the recipes."""
    hard = {"question": HARD, "n": 2**70, "deep": {"a": [None, "null"]}}
    others = [example(n) for n in range(2, 12)]
    directory = job(tmp_path / "it's a job", [example(1, recipe="b", variables={}), *others, example(0, output=hard)])
    assert export(directory, tmp_path / "it's [data].parquet") == 12
    (tmp_path / "it's [data].parquet").rename(tmp_path / "data.parquet")
    rows = parquet(tmp_path / "data.parquet")
    assert [row["index"] for row in rows] == list(range(12))
    assert list(rows[0]) == list(FIELDS)
    assert [json.loads(rows[0][field]) for field in ("output", "variables")] == [hard, example(0)["variables"]]
    assert rows[1]["variables"] == "{}"
    plain = [field for field in FIELDS if field not in ("output", "variables")]
    assert {field: rows[2][field] for field in plain} == {field: example(2)[field] for field in plain}


def test_csv(tmp_path: Path) -> None:
    """CSV takes output and variables apart into columns, in the order in which examples have them; the rest is JSON."""
    other = example(0, recipe="b", variables={"n": 5}, output={"answer": HARD, "yes": True, "none": None, "x": 0.5})
    directory = job(tmp_path / "job", [example(1), other])
    assert export(directory, tmp_path / "data.csv") == 2
    first, second = table(tmp_path / "data.csv")
    assert list(first) == [
        "id", "index", "recipe", "variables.n", "output.answer", "output.yes", "output.none", "output.x",
        "model", "answered_by", "generation_id",
        "usage.prompt_tokens", "usage.completion_tokens", "usage.cached_tokens",
        "cost_usd", "cost_source", "latency_seconds", "attempts", "at",
        "variables.materia", "variables.argomento", "output.question", "output.options",
    ]  # fmt: skip
    assert (first["output.answer"], first["output.yes"], first["output.none"]) == (HARD, "true", "")
    assert (first["variables.n"], first["output.x"], first["output.question"]) == ("5", "0.5", "")
    assert (second["variables.argomento"], second["output.options"]) == ('{"tema":"Roma"}', '["a","b"]')
    assert (second["cost_usd"], second["usage.prompt_tokens"]) == ("0.0001234567", "10")


@settings(deadline=None, max_examples=20)
@given(st.lists(st.dictionaries(TEXT, VALUE, max_size=3), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_text_is_exact(outputs: list[dict[str, Any]], shuffle: random.Random) -> None:
    """Whatever a model has written comes out of every format as it was."""
    examples = [
        example(n, output=output, variables=output, messages=[{"role": "user", "content": json.dumps(output)}])
        for n, output in enumerate(outputs)
    ]
    shuffle.shuffle(examples)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        directory = job(folder / "job", examples)
        for file in ("x.jsonl", "x.chat.jsonl", "x.csv", "x.parquet"):
            assert export(directory, folder / file) == len(outputs)
        assert [row["output"] for row in jsonl(folder / "x.jsonl")] == outputs
        assert [json.loads(row["messages"][0]["content"]) for row in jsonl(folder / "x.chat.jsonl")] == outputs
        assert [json.loads(row["output"]) for row in parquet(folder / "x.parquet")] == outputs
        assert [json.loads(row["variables"]) for row in parquet(folder / "x.parquet")] == outputs
        for row, output in zip(table(folder / "x.csv"), outputs, strict=True):
            for key, value in output.items():
                assert row[f"output.{key}"] == (value if isinstance(value, str) else _text(value))


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.parquet", "x.chat.jsonl"])
def test_nothing_to_export(tmp_path: Path, name: str) -> None:
    """Without accepted examples there is no file, and what was there stays."""
    (tmp_path / name).write_text("before")
    rejected = example(0, outcome="rejected")
    for directory in (job(tmp_path / "job", [rejected]), tmp_path / "no folder"):
        with pytest.raises(ExportError, match=r"holds no accepted examples: collect the job first\.$"):
            export(directory, tmp_path / name)
    assert (tmp_path / name).read_text() == "before"
    assert not list(tmp_path.glob(f".{name}*"))


def test_formats_are_named(tmp_path: Path) -> None:
    """An unknown ending or format is answered with those there are."""
    with pytest.raises(ExportError, match=r"x\.xlsx: no format has this ending; .* jsonl, parquet, csv, chat with"):
        export(tmp_path, tmp_path / "x.xlsx")
    with pytest.raises(ExportError, match="'json' is no format: choose one of jsonl, parquet, csv, chat"):
        export(tmp_path, tmp_path / "x.csv", "json")


def test_recipe_without_conversations(tmp_path: Path) -> None:
    """Chat of a recipe that makes none names the recipe."""
    directory = job(tmp_path / "job", [example(0), example(1, recipe="formule", messages=None)])
    with pytest.raises(ExportError, match="Recipe formule makes no conversations"):
        export(directory, tmp_path / "x.chat.jsonl")
    assert not (tmp_path / "x.chat.jsonl").exists()


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder in the target's place is named, and nothing is left behind."""
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(ExportError, match=r"x\.csv cannot be written \(Is a directory\)\.$"):
        export(job(tmp_path / "job", [example(0)]), tmp_path / "x.csv")
    assert not list(tmp_path.glob(".x.csv*"))


def test_more_parts_than_open_files(tmp_path: Path) -> None:
    """Examples strewn over more parts than files may be open come out in order."""
    order = random.Random(2).sample(range(300), 300)
    directory = job(tmp_path / "job", [example(n) for n in order], batch=2)
    export(directory, tmp_path / "x.jsonl")
    assert [row["index"] for row in jsonl(tmp_path / "x.jsonl")] == list(range(300))
