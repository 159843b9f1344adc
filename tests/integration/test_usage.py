"""`genfleet usage`: its sums are those of plain Python, in every grouping and every format."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from config.errors import UserError
from console.commands.usage import register
from console.usage import attempts_over_time, summary_of, usage_of
from console.usage_query import FIGURES, GROUPS
from console.usage_text import money, table
from ledger.part_files import list_parts
from ledger.parts import Parts

START = datetime(2025, 1, 30, 22, 15)
SUMS = ("prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens")

Attempt = dict[str, Any]


def attempt(**changes: Any) -> Attempt:
    """An attempt that settled one accepted example, with as many of both outcomes as `makes` says."""
    return {
        "job": "quiz-1",
        "unit": 1,
        "attempt": 1,
        "at": START,
        "outcome": "accepted",
        "reason": None,
        "recipe": "quiz",
        "model": "maker/model",
        "answered_by": "maker/model-2026",
        "generation_id": "gen-1",
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "cached_tokens": 10,
        "cache_write_tokens": 5,
        "cost_nano_usd": 341_000,
        "cost_source": "provider",
        "latency_seconds": 2.5,
        "worker": "host-1",
        "makes": (1, 0),
    } | changes


def failed(reason: str = "http_503", **changes: Any) -> Attempt:
    """An attempt that settled nothing and cost nothing."""
    nothing: Attempt = dict.fromkeys((*SUMS, "cost_nano_usd"), 0)
    return (
        attempt(outcome="again", reason=reason, answered_by=None, cost_source="none", makes=(0, 0), **nothing) | changes
    )


def keep(jobs: Path, attempts: list[Attempt], batch: int = 3) -> Path:
    """Store the attempts as a collector does, each job in its folder, and give the folder of all jobs."""
    jobs.mkdir(exist_ok=True)
    for job in {one["job"] for one in attempts}:
        parts = Parts(jobs / job)
        own = [one for one in attempts if one["job"] == job]
        entries = []
        for n, one in enumerate(own, 1):
            accepted, rejected = one["makes"]
            examples = [{"outcome": "accepted"}] * accepted + [{"outcome": "rejected"}] * rejected
            record = {name: value for name, value in one.items() if name != "makes"}
            record["at"] = one["at"].replace(tzinfo=UTC).isoformat(timespec="milliseconds")
            entries.append((f"{n}-0", json.dumps(record).encode(), json.dumps(examples).encode()))
        for n in range(0, len(entries), batch):
            parts.write(entries[n : n + batch])
            parts.compact(least=3)
        parts.close()
    return jobs


def as_an_earlier_version(jobs: Path) -> None:
    """Turn what was stored into lines of JSON that tell no numbers of examples."""
    for folder in jobs.iterdir():
        for part in list_parts(folder / "attempts")[0]:
            rows = list(Parts(folder).iterate("attempts"))
            assert len(list_parts(folder / "attempts")[0]) == 1
            lines = ({n: v for n, v in row.items() if n not in ("accepted", "rejected")} for row in rows)
            part.path.with_suffix(".jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
            part.path.unlink()


def kind_of(one: Attempt) -> str:
    """What an attempt's cost was for."""
    if one["makes"][0]:
        return "accepted"
    if one["makes"][1]:
        return "rejected"
    return "duplicate" if one["outcome"] in ("accepted", "rejected") else "again"


def figures(attempts: list[Attempt]) -> dict[str, Any]:
    """The figures of these attempts, but for percentiles, in plain Python."""
    cost = dict.fromkeys(("accepted", "rejected", "again", "duplicate"), 0)
    for one in attempts:
        cost[kind_of(one)] += one["cost_nano_usd"] or 0
    accepted = sum(one["makes"][0] for one in attempts)
    again = [one for one in attempts if kind_of(one) == "again"]
    nano = {
        "cost": sum(cost.values()),
        "rejected_cost": cost["rejected"],
        "again_cost": cost["again"],
        "duplicate_cost": cost["duplicate"],
    }
    each = Decimal(nano["cost"]).scaleb(-9) / accepted if accepted else None
    return {
        "attempts": len(attempts),
        "requests": sum(one["cost_source"] != "none" or one["latency_seconds"] is not None for one in attempts),
        "accepted": accepted,
        "rejected": sum(one["makes"][1] for one in attempts),
        "errors": sum(one["reason"] is not None for one in attempts),
        "unknown": sum(one["cost_source"] == "unknown" for one in attempts),
        "again": len(again),
        "again_paid": sum((one["cost_nano_usd"] or 0) > 0 for one in again),
        "duplicates": sum(kind_of(one) == "duplicate" for one in attempts),
        **{name: sum(one[name] for one in attempts) for name in SUMS},
        **{f"{name}_nano_usd": value for name, value in nano.items()},
        **{f"{name}_usd": Decimal(value).scaleb(-9) for name, value in nano.items()},
        "cost_per_accepted_usd": each if each is None else round(each, 9),
    }


def percentile(values: list[float], share: float) -> float:
    """Between the two values next to the place, in proportion."""
    values, place = sorted(values), share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


LABELS: dict[str, Callable[[Attempt], Any]] = {
    "answered_by": lambda one: one["answered_by"] or one["model"],
    "hour": lambda one: one["at"].strftime("%Y-%m-%d %H:00"),
    "day": lambda one: one["at"].strftime("%Y-%m-%d"),
    "week": lambda one: one["at"].strftime("%G-W%V"),
}


def grouped(attempts: list[Attempt], by: str) -> dict[Any, list[Attempt]]:
    label = LABELS.get(by, lambda one: one[by])
    groups: dict[Any, list[Attempt]] = {}
    for one in attempts:
        groups.setdefault(label(one), []).append(one)
    return groups


AMOUNT = st.integers(0, 10**12)
ENDS = st.sampled_from(
    [
        {},
        {"makes": (3, 2), "reason": None},
        {"makes": (0, 0)},  # another had settled its example
        {"outcome": "rejected", "reason": "invalid", "makes": (0, 2)},
        {"outcome": "rejected", "reason": "refused", "makes": (0, 0)},
        {"outcome": "again", "reason": "cut_short", "makes": (0, 0)},
        failed(),
        failed("rate_limited", latency_seconds=0.01),
        failed("not_asked", latency_seconds=None),
        {"outcome": "rejected", "reason": "poison", "makes": (0, 1), "cost_source": "none", "latency_seconds": None},
        {"cost_nano_usd": None, "cost_source": "unknown"},
        {"outcome": "unknown", "reason": "timeout", "makes": (0, 0), "cost_nano_usd": None, "cost_source": "unknown"},
        {"outcome": "unknown", "reason": "timeout", "makes": (0, 1), "cost_nano_usd": None, "cost_source": "unknown"},
    ]
)


@st.composite
def attempts_of_any_kind(draw: st.DrawFn) -> Attempt:
    paid = {name: draw(AMOUNT) for name in (*SUMS, "cost_nano_usd")}
    latency = {"latency_seconds": draw(st.integers(0, 600_000)) / 1000}
    return (
        attempt(
            at=START + timedelta(milliseconds=draw(st.integers(0, 40 * 86_400_000))),
            job=draw(st.sampled_from(["quiz-1", "quiz-2", "formule-1"])),
            recipe=draw(st.sampled_from(["quiz", "formule"])),
            model=draw(st.sampled_from(["maker/model", "other/model", "l'altro"])),
            answered_by=draw(st.none() | st.just("maker/model-2026")),
            worker=draw(st.sampled_from(["host-1", "host-2"])),
        )
        | paid
        | latency
        | {n: v for n, v in draw(ENDS).items() if n not in ("job", "at", "recipe", "model", "worker")}
    )


@settings(max_examples=15)
@given(st.lists(attempts_of_any_kind(), min_size=1, max_size=30), st.none() | st.integers(0, 40))
def test_sums_are_those_of_plain_python(attempts: list[Attempt], days: int | None) -> None:
    """In every grouping, and since any moment, each figure is what Python counts, and the groups together the whole."""
    since = None if days is None else START + timedelta(days=days)
    with tempfile.TemporaryDirectory() as folder:
        jobs = keep(Path(folder) / "jobs", attempts)
        wanted = [one for one in attempts if since is None or one["at"] >= since]
        for by in GROUPS:
            rows = usage_of(jobs, by, since)
            groups = grouped(wanted, by)
            assert len(rows) == len(groups)
            for row in rows:
                assert list(row) == [by, *FIGURES]
                own = groups[row[by]]
                assert {name: row[name] for name in figures(own)} == figures(own)
                _percentiles_agree(row, own)
        summary = summary_of(jobs, since)
        assert {name: summary.totals[name] for name in figures(wanted)} == figures(wanted)
        _percentiles_agree(summary.totals, wanted)
        assert summary.jobs == len({one["job"] for one in wanted})
        assert (summary.first, summary.last, summary.guessed) == (
            min((one["at"] for one in wanted), default=None),
            max((one["at"] for one in wanted), default=None),
            0,
        )
        for rows in (summary.groups["model"], summary.groups["recipe"], summary.groups["time"]):
            assert sum(row["cost_nano_usd"] for row in rows) == figures(wanted)["cost_nano_usd"]
        assert sum(row["attempts"] for row in summary.groups["reason"]) == figures(wanted)["errors"]


def _percentiles_agree(row: dict[str, Any], own: list[Attempt]) -> None:
    latencies = [one["latency_seconds"] for one in own if one["latency_seconds"] is not None]
    for share in (50, 90, 99):
        told = row[f"p{share}_seconds"]
        if latencies:
            assert told == pytest.approx(percentile(latencies, share / 100), abs=0.001)
        else:
            assert told is None


def test_attempts_of_an_earlier_version(tmp_path: Path) -> None:
    """Old lines are summed up beside Parquet; their settled calls count as one example each, and it is told."""
    old = [
        attempt(job="old", makes=(3, 0)),
        attempt(job="old", outcome="rejected", reason="invalid"),
        failed(job="old"),
    ]
    as_an_earlier_version(keep(tmp_path, old))
    keep(tmp_path, [attempt(job="new", makes=(3, 2))])
    summary = summary_of(tmp_path)
    assert (summary.jobs, summary.guessed, summary.totals["attempts"]) == (2, 3, 4)
    assert (summary.totals["accepted"], summary.totals["rejected"]) == (1 + 3, 1 + 2)
    assert (summary.totals["again"], summary.totals["duplicates"]) == (1, 0)
    assert summary.totals["cost_nano_usd"] == 3 * 341_000
    assert {row["job"]: row["cost_nano_usd"] for row in usage_of(tmp_path, "job")} == {"old": 682_000, "new": 341_000}
    steps, latencies = attempts_over_time(tmp_path / "old")
    assert (len(latencies), steps[-1][3]) == (3, pytest.approx(682_000 / 1e9))


@pytest.mark.parametrize(
    ("hours", "step"), [(0, "hour"), (47, "hour"), (49, "day"), (62 * 24, "day"), (63 * 24, "week"), (9000, "week")]
)
def test_the_step_fits_the_span(tmp_path: Path, hours: int, step: str) -> None:
    """Hours of two days, days of two months, weeks of more."""
    keep(tmp_path, [attempt(), attempt(at=START + timedelta(hours=hours))])
    summary = summary_of(tmp_path)
    assert summary.step == step
    assert [row["time"] for row in summary.groups["time"]] == [row[step] for row in usage_of(tmp_path, step)]


def test_the_costly_first(tmp_path: Path) -> None:
    """Models stand by their cost, reasons by their number, times in their order."""
    many = [failed("a", model="cheap")] * 2 + [failed("b")] * 3
    keep(tmp_path, [*many, attempt(at=START - timedelta(days=3), model="dear"), attempt(model="dear"), attempt()])
    assert [row["model"] for row in usage_of(tmp_path, "model")] == ["dear", "maker/model", "cheap"]
    assert [row["reason"] for row in usage_of(tmp_path, "reason")] == ["b", None, "a"]
    assert [row["day"] for row in usage_of(tmp_path, "day")] == ["2025-01-27", "2025-01-30"]


def test_over_time(tmp_path: Path) -> None:
    """A job's calls in steps from its first one: rates of both kinds, and the cost so far, which ends at the whole."""
    attempts = [attempt(at=START + timedelta(seconds=n)) for n in range(0, 600, 2)]
    attempts += [failed(at=START + timedelta(seconds=n)) for n in range(1, 600, 6)]
    keep(tmp_path, attempts)
    steps, latencies = attempts_over_time(tmp_path / "quiz-1")
    width = steps[1][0] - steps[0][0]
    assert 50 <= len(steps) <= 61
    assert [row[0] for row in steps] == [pytest.approx(width * (n + 1)) for n in range(len(steps))]
    assert sum(row[1] for row in steps) * width == pytest.approx(300)
    assert sum(row[2] for row in steps) * width == pytest.approx(100)
    assert steps[-1][3] == pytest.approx(300 * 341_000 / 1e9)
    assert len(latencies) == 400
    assert attempts_over_time(tmp_path / "none") == ([], [])


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    """One part that cannot be read, new or old, is named instead of being left out of the sums."""
    keep(tmp_path, [attempt(job="a"), attempt(job="b"), attempt(job="c")])
    (victim,) = (tmp_path / "b" / "attempts").iterdir()
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-5])
    with pytest.raises(UserError, match=rf"^{victim} is damaged \(it is not a whole Parquet file of attempts\): put"):
        usage_of(tmp_path, "model")
    victim.rename(tmp_path / "elsewhere")
    victim.with_suffix(".jsonl").write_text('{"job": "b"}\n{"job": \n')
    with pytest.raises(UserError, match=r"part-1-0-1-0.jsonl is damaged \(line 2 is not JSON\)"):
        summary_of(tmp_path)


def test_parts_that_are_merged_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that a collector merges between finding and reading them are found anew, and count once."""
    import console.usage_query as query

    keep(tmp_path, [attempt(unit=n) for n in range(9)], batch=9)
    more = [(f"{n}-0", b"{}", b"[]") for n in range(10, 20)]
    parts = Parts(tmp_path / "quiz-1")
    for one in more:
        parts.write([one])
    listed = []

    def listing(folder: Path) -> Any:
        found = list_parts(folder)
        if found[0]:
            listed.append(len(found[0]))
            parts.compact(least=2)
        return found

    monkeypatch.setattr(query, "list_parts", listing)
    assert summary_of(tmp_path).totals["attempts"] == 19
    assert listed == [11, 1]
    parts.close()


@pytest.fixture
def run(clean: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `usage` with these arguments in a working folder of its own."""
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)
    register(app)
    clean.setenv("COLUMNS", "80")
    return lambda *arguments: CliRunner().invoke(app, ["usage", *arguments])


@pytest.fixture
def kept(tmp_path: Path) -> list[Attempt]:
    """What the working folder has collected: all kinds of attempts of two jobs."""
    attempts = [
        attempt(),
        attempt(at=START + timedelta(hours=3), model="other/model", makes=(2, 1), cost_nano_usd=2_000_000_001),
        attempt(outcome="rejected", reason="invalid", makes=(0, 1), cost_nano_usd=7),
        attempt(makes=(0, 0), cost_nano_usd=1),
        failed(),
        failed("cut_short", cost_nano_usd=5, cost_source="provider"),
        attempt(
            job="formule-1",
            at=START + timedelta(days=9),
            recipe="formule",
            outcome="unknown",
            reason="timeout",
            makes=(0, 0),
            cost_nano_usd=None,
            cost_source="unknown",
        ),
    ]
    (tmp_path / "data").mkdir()
    keep(tmp_path / "data" / "jobs", attempts)
    return attempts


def test_for_people(run: Callable[..., Result], kept: list[Attempt]) -> None:
    """Without options there is all that a person asks first, in words and tables."""
    shown = run()
    assert shown.exit_code == 0
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[:14] == [
        "Attempts of 2 jobs, 2025-01-30 22:15 to 2025-02-08 22:15 UTC",
        "",
        "requests 7 calls to a model, in 7 attempts",
        "accepted 3 examples",
        "rejected 2 examples",
        "prompt 500 tokens, 10% of them from the provider's cache",
        "completion 250 tokens",
        "cost $2.00",
        "per accepted $0.6668 for each accepted example, all costs shared",
        "for rejected $0.000000007 answers that were paid and gave no example",
        "for repeated $0.000000005 1 paid of 3 calls that settled nothing and were repeated",
        "for duplicates $0.000000001 1 answers to what another call had settled",
        "unknown 1 calls whose cost was never told; it is in no figure here",
        "latency 2.50 s median; 90% of the calls ended within 2.50 s, 99% within 2.50 s",
    ]
    assert [line for line in lines if line.startswith(("By", "Errors"))] == [
        "By model",
        "By recipe",
        "By day, UTC",
        "Errors by reason",
    ]
    assert "2025-01-30" in shown.stdout
    assert len(kept) == 7


@pytest.mark.parametrize("by", GROUPS)
def test_a_table(run: Callable[..., Result], kept: list[Attempt], by: str) -> None:
    """Each grouping is a table with a line for each group."""
    shown = run("--by", by)
    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == 1 + len(grouped(kept, by))
    assert shown.stdout.split()[0] == by.split("_", maxsplit=1)[0]


@pytest.mark.parametrize("by", GROUPS)
def test_json_of_a_grouping(run: Callable[..., Result], kept: list[Attempt], by: str) -> None:
    """The list has an object for each group, exact to the nano-dollar, with the names that the help lists."""
    rows = json.loads(run("--by", by, "--json").stdout)
    groups = grouped(kept, by)
    assert {row[by] for row in rows} == set(groups)
    for row in rows:
        assert list(row) == [by, *FIGURES]
        expected = figures(groups[row[by]])
        assert {name: row[name] for name in expected} == {
            name: float(value) if isinstance(value, Decimal) else value for name, value in expected.items()
        }
    told = run("--help").stdout
    assert all(f"\n    {name} " in told for name in FIGURES)


def test_json_of_all(run: Callable[..., Result], kept: list[Attempt]) -> None:
    """One object with the totals and all groupings of the summary."""
    told = json.loads(run("--json").stdout)
    assert list(told) == [
        "first_at", "last_at", "jobs", "step", "attempts_without_counts", "totals", "by_model", "by_recipe", "by_time",
        "by_reason",
    ]  # fmt: skip
    assert told["first_at"] == "2025-01-30T22:15:00+00:00"
    assert (told["jobs"], told["step"], told["attempts_without_counts"]) == (2, "day", 0)
    assert told["totals"]["cost_nano_usd"] == figures(kept)["cost_nano_usd"] == 2_000_341_014
    assert told["totals"]["cost_usd"] == 2.000341014
    assert [row["time"] for row in told["by_time"]] == ["2025-01-30", "2025-01-31", "2025-02-08"]
    assert {row["reason"] for row in told["by_reason"]} == {"invalid", "http_503", "cut_short", "timeout"}


def test_csv(run: Callable[..., Result], kept: list[Attempt]) -> None:
    """The same names and figures as JSON; amounts are written out to the nano-dollar, what is not there is empty."""
    rows = list(csv.DictReader(io.StringIO(run("--by", "reason", "--csv").stdout)))
    assert list(rows[0]) == ["reason", *FIGURES]
    by_reason = {row["reason"]: row for row in rows}
    assert set(by_reason) == {"", "invalid", "http_503", "cut_short", "timeout"}
    assert by_reason["invalid"]["cost_usd"] == "0.000000007"
    assert by_reason["invalid"]["cost_per_accepted_usd"] == ""
    rows = list(csv.DictReader(io.StringIO(run("--csv").stdout)))
    assert list(rows[0]) == ["by", "group", *FIGURES]
    assert [row["by"] for row in rows] == ["total"] + 2 * ["model"] + 2 * ["recipe"] + 3 * ["time"] + 4 * ["reason"]
    for name in ("total", "model", "recipe", "time"):
        own = [row for row in rows if row["by"] == name]
        assert sum(Decimal(row["cost_usd"]) for row in own) == Decimal("2.000341014")
        assert sum(int(row["cost_nano_usd"]) for row in own) == figures(kept)["cost_nano_usd"]


def test_nothing_collected(run: Callable[..., Result]) -> None:
    """Without attempts every format is well-formed and empty."""
    assert run().stdout == run("--by", "day").stdout == "No such attempts are collected on this machine.\n"
    assert json.loads(run("--json", "--by", "job").stdout) == []
    assert json.loads(run("--json").stdout)["totals"]["attempts"] == 0
    assert run("--csv", "--by", "job").stdout.splitlines() == [",".join(["job", *FIGURES])]
    assert len(run("--csv").stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("since", "count"),
    [
        ("2025-01-31", 2),
        ("2025-01-30T22:15", 7),
        ("2025-01-30T23:15:00.001+01:00", 2),
        ("2025-02-09", 0),
        ("52000w", 7),
        ("1h", 0),
    ],
)
def test_since(run: Callable[..., Result], kept: list[Attempt], since: str, count: int) -> None:
    """A date begins at midnight UTC, a moment may name its zone, a span ends now."""
    assert json.loads(run("--since", since, "--json").stdout)["totals"]["attempts"] == count
    assert len(kept) == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "last week"), 'since: "last week" is neither a span such as 24h, 7d or 4w nor a date'),
        (("--since", "9999999999w"), 'since: "9999999999w" is neither a span'),
        (("--by", "moon"), 'by: "moon" is not one of model, answered_by, recipe, '),
        (("--job", "cloze"), 'job: nothing of "cloze" is collected in data/jobs; collect it first: genfleet collect'),
        (("--job", "quiz"), 'job: "quiz" begins 2 ids, quiz-1 and quiz-2 among them; give more of it.'),
        (("--json", "--csv"), "--csv and --json: choose one of them."),
    ],
)
def test_mistakes(run: Callable[..., Result], kept: list[Attempt], arguments: tuple[str, ...], said: str) -> None:
    """What cannot be asked is answered in one sentence with the value and what to do."""
    keep(Path("data/jobs"), [*kept[:1], attempt(job="quiz-2")])
    error = run(*arguments).exception
    assert isinstance(error, UserError)
    assert str(error).startswith(said)


def test_one_job(run: Callable[..., Result], kept: list[Attempt]) -> None:
    """A job is named by its id or its beginning, and the others are left out."""
    for name in ("formule-1", "form"):
        assert [row["job"] for row in json.loads(run("--job", name, "--by", "job", "--json").stdout)] == ["formule-1"]
    assert json.loads(run("--job", "quiz-1", "--json").stdout)["totals"]["attempts"] == len(kept) - 1


@given(st.lists(attempts_of_any_kind(), min_size=1, max_size=5), st.integers(30, 200))
@settings(max_examples=20)
def test_tables_fit_where_they_can(attempts: list[Attempt], width: int) -> None:
    """A table leaves out columns until it fits, never its group, its accepted examples or its cost."""
    with tempfile.TemporaryDirectory() as folder:
        rows = usage_of(keep(Path(folder) / "jobs", attempts), "model")
    headings, cells = table(rows, width)
    assert headings[0] == "model"
    assert {"accepted", "cost", "per accepted"} <= set(headings)
    assert {len(row) for row in cells} == {len(headings)}
    wide = sum(max(len(row[n]) for row in [headings, *cells]) + 2 for n in range(len(headings)))
    assert wide <= width or len(headings) == 4
    assert len(table(rows)[0]) == 14


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, "-"),
        ("0", "$0.00"),
        ("1234567.891", "$1,234,567.89"),
        ("1", "$1.00"),
        ("0.99", "$0.9900"),
        ("0.000341", "$0.0003410"),
        ("0.000000001", "$0.000000001"),
    ],
)
def test_money(amount: str | None, shown: str) -> None:
    """Dollars and cents, four digits below a dollar, and never less than there is."""
    assert money(None if amount is None else Decimal(amount)) == shown
