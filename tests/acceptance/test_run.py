"""`genfleet run` and `genfleet submit` on rows that a person brings."""

from __future__ import annotations

import csv
import io
import json
import signal
from pathlib import Path
from typing import Any

import duckdb
from fleet_bench import MODEL, Fleet

from console.provider.composing import built_in_answer
from ledger import jobs
from workers.app import job_queue

#: What others script against.
CONTRACT = {
    "job", "recipe", "model", "total", "accepted", "rejected", "waiting", "running", "attempts", "prompt_tokens",
    "completion_tokens", "cost_usd", "seconds", "state",
}  # fmt: skip
HERE = ("--workers", "1", "--concurrency", "20")


def passages(count: int) -> list[str]:
    """Texts of several sentences that differ, with the characters that formats trip over."""
    return [
        f"Il ponte numero {number} fu costruito nel {1000 + number}, in pietra.\n"
        f'Secondo la cronaca «antica», costò {number * 7} fiorini; "un prezzo alto", dissero tutti.\n'
        "Oggi il ponte è chiuso alle automobili, e chi passa a piedi si ferma a guardare il fiume."
        for number in range(1, count + 1)
    ]


def jsonl(path: Path, texts: list[str]) -> str:
    """Writes rows with a passage each."""
    path.write_text("".join(json.dumps({"passage": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
    return str(path)


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_run_alone_is_complete_and_runs_once(alone: Fleet) -> None:
    """With rows and no broker a run makes the whole dataset; the same command again makes no call and says the same."""
    alone.provide(built_in_answer, latency_seconds=0.1)
    rows = jsonl(alone.folder / "rows.jsonl", passages(40))
    command = ("run", "rag", "--rows", rows, "--to", "out/rag.jsonl", "--json", *HERE)
    said = json.loads(alone.genfleet(*command).out)
    assert said.keys() >= CONTRACT
    assert (said["state"], said["accepted"], said["total"], said["recipe"]) == ("complete", 40, 40, "rag")
    assert round(said["cost_usd"] * 1e9) == alone.billed()
    made = lines(alone.folder / "out" / "rag.jsonl")
    assert [example["variables"]["passage"] for example in made] == passages(40)
    calls = alone.billed("calls")

    again = alone.genfleet(*command)
    assert json.loads(again.out) == said
    assert "complete already" in again.err
    assert alone.billed("calls") == calls == 40


def test_ctrl_c_and_the_same_command_again_pay_nothing_twice(alone: Fleet) -> None:
    """A run that is interrupted lets its calls end, exits with 1, and goes on where it stopped."""
    alone.provide(built_in_answer, latency_seconds=0.5)
    rows = jsonl(alone.folder / "rows.jsonl", passages(250))
    # Most of the job is still to be enqueued when it is stopped.
    alone.env["GENFLEET_QUEUE_DEPTH"] = "100"
    command = ("run", "rag", "--rows", rows, "--to", "rag.parquet", "--json", *HERE)
    first = alone.start(*command)
    alone.until(lambda: alone.billed("calls") >= 40, "40 calls have ended")
    stopped = first.end(signal.SIGINT)
    assert stopped.code == 1
    assert 40 <= json.loads(stopped.out)["accepted"] == alone.billed("calls") < 250
    assert "run the same command again to go on" in stopped.err
    assert not alone.left()

    assert json.loads(alone.genfleet(*command).out)["accepted"] == 250
    assert alone.billed("calls") == alone.billed("billed_calls") == 250
    assert alone.billed("left_calls") == 0
    with duckdb.connect() as connection:
        connection.execute(f"SELECT count(DISTINCT id), count(*) FROM '{alone.folder / 'rag.parquet'}'")
        assert connection.fetchall() == [(250, 250)]


def test_a_second_run_on_this_machine_outlives_the_first(alone: Fleet) -> None:
    """Two runs share broker and workers; the one that started them may end first, and the other is complete too."""
    alone.provide(latency_seconds=0.3)
    first = alone.start("run", "small", "--count", "80", "--json")
    alone.until(lambda: alone.billed("calls") >= 10, "the first run is under way")
    alone.provider.control(latency_seconds=1.0)
    second = alone.start("run", "small", "--count", "250", "--seed", "1", "--json", "--concurrency", "100")
    said = [json.loads(command.wait().out) for command in (first, second)]
    assert [(run["state"], run["accepted"]) for run in said] == [("complete", 80), ("complete", 250)]
    assert alone.billed("calls") == 330
    alone.until(lambda: not alone.left(), "the broker has ended with the last that used it")


def test_every_format_of_rows_reaches_the_prompt_unchanged(fleet: Fleet) -> None:
    """CSV with a byte order mark and line breaks from standard input, and Parquet, give the passages as they were."""
    fleet.provide(built_in_answer)
    fleet.plain_worker("one")
    fleet.until_joined(1)
    texts = passages(5)
    table = io.StringIO(newline="")
    csv.writer(table).writerows([["titolo", "passage"], *([f"n. {n}", text] for n, text in enumerate(texts))])
    fleet.genfleet("run", "rag", "--rows", "-", "--to", "csv.jsonl", stdin=b"\xef\xbb\xbf" + table.getvalue().encode())
    made = lines(fleet.folder / "csv.jsonl")
    assert [example["variables"]["passage"] for example in made] == texts

    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE rows AS SELECT unnest(?) AS passage", [texts])
        connection.execute(f"COPY rows TO '{fleet.folder / 'rows.parquet'}' (FORMAT parquet)")
    fleet.genfleet("run", "rag", "--rows", "rows.parquet", "--to", "parquet.chat.jsonl")
    talks = lines(fleet.folder / "parquet.chat.jsonl")
    assert [text in talk["messages"][1]["content"] for text, talk in zip(texts, talks, strict=True)] == [True] * 5
    assert fleet.billed("calls") == 10


def test_bad_rows_refuse_the_job_or_are_left_out_by_name(fleet: Fleet) -> None:
    """Every bad line is named and nothing is enqueued; told so, the job goes on without them and keeps them apart."""
    good = [json.dumps({"passage": text}) for text in passages(4)]
    bad = ["{not json", json.dumps({"text": "x"}), json.dumps({"passage": " "})]
    rows = fleet.folder / "rows.jsonl"
    rows.write_text("\n".join([good[0], bad[0], *good[1:3], bad[1], bad[2], good[3]]) + "\n")
    refused = fleet.genfleet("submit", "rag", "--rows", "rows.jsonl", code=2)
    assert [f"rows.jsonl, line {number}: " in refused.err for number in range(1, 8)] == [
        number in (2, 5, 6) for number in range(1, 8)
    ]
    assert refused.out == ""
    assert jobs.ids(fleet.redis) == []
    assert fleet.redis.dbsize() == 0

    taken = fleet.genfleet("submit", "rag", "--rows", "rows.jsonl", "--skip-bad-rows", "bad.jsonl")
    assert taken.out == f"{jobs.find(fleet.redis, None)}\n"
    assert "3 rows cannot be used" in taken.err
    assert [row["line"] for row in lines(fleet.folder / "bad.jsonl")] == [2, 5, 6]
    job = taken.out.strip()
    assert fleet.status(job).total == fleet.redis.llen(job_queue(MODEL, job)) == 4


def test_a_persons_mistakes_are_one_sentence_and_exit_code_2(fleet: Fleet) -> None:
    """A missing key, an unknown recipe, no broker and no rows are each named with what to do, and cost nothing."""
    mistakes = {
        ("run", "small", "--count", "1", "OPENROUTER_API_KEY="): ("OPENROUTER_API_KEY", "https://openrouter.ai/keys"),
        ("run", "nonesuch", "--count", "1"): ("nonesuch", "no such recipe", "quiz"),
        ("submit", "small", "--count", "1", "REDIS_URL="): ("REDIS_URL",),
        ("run", "rag"): ("rag", "passage", "--rows"),
        ("run", "small", "--count", "1", "--to", "x.docx"): ("x.docx", ".parquet"),
    }
    started = {
        fleet.start(*(word for word in words if not word.endswith("=")), **_empty(words)): named
        for words, named in mistakes.items()
    }
    for command, named in started.items():
        done = command.wait()
        assert done.code == 2
        assert [word for word in named if word not in done.err] == []
        assert "Traceback" not in done.err
        assert done.out == ""
    assert fleet.billed("calls") == fleet.redis.dbsize() == 0


def _empty(words: tuple[str, ...]) -> dict[str, str]:
    return {word.removesuffix("="): "" for word in words if word.endswith("=")}
