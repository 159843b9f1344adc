"""A job's report against its ledger and its part files, and what it says where there is little to tell."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from report_reading import Report

from config.errors import UserError
from config.models import model
from config.recipe import Recipe
from config.settings import settings
from console.report import write_report
from ledger import history, jobs, keys
from ledger.connection import Redis
from ledger.jobs import Spec
from ledger.parts import Entry, Parts
from ledger.status import status_of

# The benchmarks are not installed with the packages.
sys.path.insert(0, str(Path(__file__).absolute().parents[2]))

from benchmarks.made_job import MadeJob, Sums

MODEL = "anthropic/claude-haiku-4.5"
SECTIONS = [
    "summary",
    "throughput",
    "limits",
    "latency",
    "cost",
    "failures",
    "coverage",
    "lengths",
    "likeness",
    "examples",
]
OUTPUT = {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]}
NASTY = "</pre><script>alert('x')</script> {{ 7 * 7 }} & “quoted”"


@pytest.fixture
def redis(redis_client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Redis:
    """An empty ledger, and an environment that sets nothing of ours."""
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    return redis_client


def report(redis: Redis, job: str, folder: Path) -> Report:
    """The job's report."""
    to = folder.parent / "report.html"
    write_report(redis, job, folder, to)
    found = Report(to)
    assert list(found.sections) == SECTIONS
    return found


def recipe_of(**changes: Any) -> Recipe:
    """A recipe with two axes."""
    plain = {
        "name": "small",
        "description": "One question",
        "model": MODEL,
        "prompt": "{{ tema }} {{ livello }}",
        "output": OUTPUT,
        "axes": {"tema": ["mare", "monti"], "livello": {"facile": 0.75, "difficile": 0.25}},
    }
    return Recipe.model_validate(plain | changes)


class Small:
    """A job of a few examples, each of which the test says itself."""

    def __init__(self, redis: Redis, folder: Path, recipes: tuple[Recipe, ...] = (), total: int = 10) -> None:
        self.id, self.folder, self.redis = "small-1", folder, redis
        self.spec = Spec(recipes=recipes or (recipe_of(),), model=MODEL, total=total, seed=4)
        jobs.create(redis, self.id, self.spec, model(MODEL), [model(MODEL)], total)
        self.entries: list[Entry] = []

    def attempt(
        self, outcome: str = "accepted", reason: str | None = None, example: Any = None, **changes: Any
    ) -> None:
        """An attempt; where it settled an example, that example's own fields."""
        unit = len(self.entries)
        at = datetime.fromtimestamp(1_700_000_000 + 2 * unit, UTC).isoformat(timespec="milliseconds")
        record = {
            "job": self.id, "unit": unit, "attempt": 1, "at": at, "outcome": outcome, "reason": reason,
            "recipe": self.spec.recipes[0].name, "model": MODEL, "answered_by": MODEL, "prompt_tokens": 100,
            "completion_tokens": 50, "cost_nano_usd": 350_000, "cost_source": "provider", "latency_seconds": 1.5,
        }  # fmt: skip
        record |= changes
        shared = {"id": f"{self.id}-{unit:06d}", "index": unit, "recipe": record["recipe"], "outcome": outcome}
        examples = [] if example is None else [shared | {"variables": {"tema": "mare", "livello": "facile"}} | example]
        self.entries.append((f"{unit + 1}-1", json.dumps(record).encode(), json.dumps(examples).encode()))
        counts = {"attempts": 1, "spent": record["cost_nano_usd"] or 0, outcome: 1}
        for name, count in counts.items():
            self.redis.hincrby(keys.job(self.id), name, count)
        if reason is not None:
            self.redis.hincrby(keys.job(self.id, "reasons"), f"{outcome}:{reason}", 1)

    def accepted(self, output: Any, **more: Any) -> None:
        """An accepted example."""
        self.attempt(example={"output": output, "messages": None, **more})

    def written(self) -> Report:
        """The report, after what was said is stored."""
        parts = Parts(self.folder)
        if self.entries:
            parts.write(self.entries)
        parts.close()
        return report(self.redis, self.id, self.folder)


@pytest.fixture
def small(redis: Redis, tmp_path: Path) -> Small:
    """A job that has only begun."""
    return Small(redis, tmp_path / "job")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[MadeJob, Path, Sums]:
    """A job of several recipes with a thousand examples: rejected, repeated and repeating ones among them."""
    folder = tmp_path_factory.mktemp("made") / "job"
    job = MadeJob(1_000, per_second=5.0)
    return job, folder, job.write(folder)


def test_figures_are_those_of_ledger_and_part_files(redis: Redis, made: tuple[MadeJob, Path, Sums]) -> None:
    """Counts, tokens, money, causes, coverage and comparisons in the report are what the job's records come to."""
    job, folder, sums = made
    job.record(redis, sums)
    found, status = report(redis, job.id, folder), status_of(redis, job.id)
    whole = ("accepted", "rejected", "total", "attempts", "waiting", "running", "cost_nano_usd", "seconds")
    found.shows({name: getattr(status, name) for name in (*whole, "prompt_tokens", "completion_tokens")})
    for name, count in status.reasons.items():
        assert found.number(name) == count

    attempts = list(Parts(folder).iterate("attempts"))
    accepted = list(Parts(folder).iterate("accepted"))
    vain = [one["cost_nano_usd"] or 0 for one in attempts if one["outcome"] == "rejected"]
    repeated = [one["cost_nano_usd"] or 0 for one in attempts if one["outcome"] in ("again", "unknown")]
    spent = sum(one["cost_nano_usd"] or 0 for one in attempts)
    found.shows(
        {
            "spent": spent,
            "spent_rejected": sum(vain),
            "spent_repeated": sum(repeated),
            "spent_accepted": spent - sum(vain) - sum(repeated),
            "part_prompt_tokens": sum(one["prompt_tokens"] for one in attempts),
            "compared": len(accepted),
        }
    )
    assert spent == status.cost_nano_usd
    for axis, values in (("difficolta", ("facile", "media", "difficile")), ("livello", ("terza media",))):
        for value in values:
            count = sum(one["variables"][axis] == value for one in accepted if one["recipe"] == "quiz")
            assert found.number(f"axis:quiz:{axis}:{value}") == count
    plain = [axis for axis, values in job.spec.recipes[0].axes.items() if isinstance(values, list)]
    combinations = Counter(
        json.dumps([one["variables"][axis] for axis in plain]) for one in accepted if one["recipe"] == "quiz"
    )
    assert found.number("seen:quiz") == len(combinations)


def test_limits_come_from_the_ledger_where_it_has_them(redis: Redis, made: tuple[MadeJob, Path, Sums]) -> None:
    """With readings of the job's time the report tells what was waited for; without them it says so and computes."""
    job, folder, sums = made
    job.record(redis, sums)
    found = report(redis, job.id, folder)
    assert "From the ledger's own readings" in found.sections["limits"]
    assert "Calls waited for tokens per minute" in found.sections["summary"]
    redis.delete(keys.history(MODEL))
    found = report(redis, job.id, folder)
    assert "computed from the records of this job's attempts" in found.sections["limits"]
    assert "waited for" not in found.sections["limits"]


def test_it_needs_nothing_from_elsewhere(redis: Redis, made: tuple[MadeJob, Path, Sums]) -> None:
    """No script, no address of another place, and a policy that forbids them."""
    job, folder, sums = made
    job.record(redis, sums)
    found = report(redis, job.id, folder)
    assert not {tag for tag, _ in found.tags} & {"script", "iframe", "img", "object", "embed", "form"}
    for tag, attributes in found.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster"):
            assert str(attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    text = (folder.parent / "report.html").read_text("utf-8")
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert len(text) < 2_000_000


def test_it_is_the_same_report_twice(redis: Redis, made: tuple[MadeJob, Path, Sums]) -> None:
    """But for the time that it says, a report of the same job is the same."""
    job, folder, sums = made
    job.record(redis, sums)
    assert report(redis, job.id, folder).sections == report(redis, job.id, folder).sections


def test_a_job_without_attempts_says_so(small: Small) -> None:
    """Nothing has happened yet: every section is there and says what is missing."""
    found = small.written()
    found.shows({"accepted": 0, "attempts": 0, "total": 10, "waiting": 10})
    assert "No call has ended yet" in found.sections["summary"]
    assert "still running: 10 examples of 10 to go" in found.sections["summary"]
    assert "No attempt is collected" in found.sections["throughput"]
    assert "No accepted example" in found.sections["coverage"]
    assert "No example is accepted yet" in found.sections["examples"]


def test_a_job_that_was_collected_elsewhere_says_so(small: Small, tmp_path: Path) -> None:
    """The ledger's counts stand, and the report tells that the records behind them are not here."""
    small.accepted({"question": "Perché?"})
    small.written()
    small.folder = tmp_path / "elsewhere"
    small.entries.clear()
    history.record(small.redis)
    found = small.written()
    found.shows({"accepted": 1, "attempts": 1})
    assert (
        "1 of 1 attempt are not collected" in found.sections["summary"] or "not collected" in found.sections["summary"]
    )


def test_one_example_is_enough(small: Small) -> None:
    """A single example is shown, with no curve and nothing to compare."""
    small.accepted({"question": "Perché il mare è salato?"})
    found = small.written()
    assert "Perché il mare è salato?" in found.sections["examples"]
    assert "Too few attempts" in found.sections["throughput"]
    assert "fewer than two accepted examples" in found.sections["likeness"]
    assert "Too few examples to judge" in found.sections["coverage"]


def test_all_rejected_is_told_with_an_example_of_each_cause(small: Small) -> None:
    """No example was accepted: the causes, their commonest sentences, and an answer of each, cut."""
    for k in range(4):
        detail = f'options: the option "x{k}" is given twice.'
        small.attempt("rejected", "invalid", {"reason": "invalid", "detail": detail, "raw": f"{NASTY}{'x' * 5_000}"})
    small.attempt("rejected", "refused", {"reason": "refused", "detail": "the model refused", "raw": None})
    small.attempt("again", "http_503", cost_nano_usd=0)
    found = small.written()
    assert "No example was accepted" in found.sections["summary"]
    failures = found.sections["failures"]
    assert '4 × options: the option "…" is given twice.' in failures
    assert NASTY in failures
    assert f"({len(NASTY) + 5_000 - 700:,} characters more)" in failures
    assert "status 503" in failures
    assert found.number("rejected:invalid") == 4
    assert found.number("again:http_503") == 1
    assert "No accepted example" in found.sections["lengths"]


def test_texts_of_models_are_only_texts(small: Small) -> None:
    """Whatever stands in an output, a variable, a name or a note, the page shows it and does not obey it."""
    for k in range(12):
        small.accepted({"question": f"{NASTY} {k}", NASTY: [NASTY]}, variables={"tema": NASTY, "livello": "facile"})
    small.redis.hset(keys.job(small.id), mapping={"state": "stopped", "note": NASTY})
    found = small.written()
    assert not [tag for tag, _ in found.tags if tag in ("script", "img")]
    assert NASTY in found.sections["summary"]
    assert found.sections["examples"].count(NASTY) >= 30


def test_a_chat_recipe_is_read_as_conversations(redis: Redis, tmp_path: Path) -> None:
    """An output of no known shape that makes a conversation is shown as one."""
    small = Small(redis, tmp_path / "job", (recipe_of(chat={"user": "{{ question }}", "assistant": "Sì."}),))
    messages = [{"role": "user", "content": "È vero?"}, {"role": "assistant", "content": "Sì."}]
    small.accepted({"question": "È vero?"}, messages=messages)
    small.written()
    tags = Report(tmp_path / "report.html").tags
    turns = [attributes["class"] for tag, attributes in tags if (attributes.get("class") or "").startswith("turn")]
    assert turns == ["turn user", "turn assistant"]


def test_recipes_without_axes_say_so(redis: Redis, tmp_path: Path) -> None:
    """Of several recipes, one without axes has no coverage, and the other has its own."""
    plain = recipe_of(name="plain", axes={}, prompt="x")
    small = Small(redis, tmp_path / "job", (recipe_of(), plain))
    for _ in range(6):
        small.accepted({"question": "Perché?"})
    small.attempt(recipe="plain", example={"recipe": "plain", "output": {"question": "E poi?"}, "variables": {}})
    found = small.written()
    assert "The recipe has no axes" in found.sections["coverage"]
    assert found.number("axis:small:tema:monti") == 0
    assert "missing" in found.sections["coverage"]
    assert "6 of" not in found.sections["examples"].split("drawn")[0]


def test_a_missing_value_is_named_first_thing(small: Small) -> None:
    """A value that the recipe asks for and that no example has stands in the summary."""
    for k in range(40):
        small.accepted({"question": f"Domanda numero {k} sul mare"})
    found = small.written()
    assert "No example has the tema “monti”" in found.sections["summary"]
    assert found.number("axis:small:tema:mare") == 40


def test_damage_is_named(small: Small) -> None:
    """A part file that is not what it should be stops the report with its path, and nothing is written."""
    small.accepted({"question": "Perché?"})
    small.written()
    (path,) = (small.folder / "accepted").iterdir()
    path.write_text(path.read_text().replace('"variables"', "variables"))
    (small.folder.parent / "report.html").unlink()
    with pytest.raises(UserError, match=str(path)):
        small.written()
    assert not (small.folder.parent / "report.html").exists()


def test_a_place_that_cannot_be_written_is_one_sentence(redis: Redis, small: Small, tmp_path: Path) -> None:
    """Where the file cannot be put, the error names it and why."""
    small.written()
    with pytest.raises(UserError, match=r"report: cannot be written \(Is a directory\)"):
        (tmp_path / "report").mkdir()
        write_report(redis, small.id, small.folder, tmp_path / "report")
