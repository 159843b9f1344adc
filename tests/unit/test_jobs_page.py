"""The Jobs tab's parts that need neither a fleet nor a browser."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flower
import pytest
from flower.urls import settings as flower_settings
from tornado.web import HTTPError

from console.jobs_page.causes import causes, class_name
from console.jobs_page.changes import Changes
from console.jobs_page.cross_site import refuse_other_sites
from console.jobs_page.examples import examples
from console.jobs_page.handlers import STATIC
from console.jobs_page.loader import TEMPLATES, PagesLoader, with_tab
from console.jobs_page.series import job_columns, model_columns
from ledger.history import JobReading, ModelReading
from ledger.latest import Latest

TAB = '<li><a href="jobs">Jobs</a></li>'


def shown(template: str, **names: Any) -> str:
    """A template of Flower's, as the loader gives it."""
    loader = PagesLoader(flower_settings["template_path"])
    place = {"reverse_url": lambda name, *_: f"/{name}", "static_url": lambda name: name}
    handler = SimpleNamespace(application=SimpleNamespace(options=SimpleNamespace(auth="")))
    return loader.load(template).generate(**place, handler=handler, current_user=None, **names).decode()


def test_the_tab_is_the_first_of_the_installed_flowers() -> None:
    """Jobs stands once before Flower's own tabs, which are all there, and is marked where it is open."""
    navbar = shown("navbar.html", active_tab="jobs")
    places = [navbar.index(f">{name}</a>") for name in ("Jobs", "Workers", "Tasks", "Broker")]
    assert places == sorted(places)
    assert navbar.count(">Jobs</a>") == 1
    assert '<a class="nav-link active"\nhref="/jobs"' in navbar
    assert 'aria-current="page"' not in shown("navbar.html", active_tab="")


def test_our_pages_are_inside_flowers_frame() -> None:
    """Our pages share one frame, which extends Flower's own base, of which no copy is ours."""
    own = {path.name for path in TEMPLATES.iterdir()}
    assert own == {"frame.html", "jobs.html", "job.html", "card.html", "live.html", "tab.html", "tasks_more.html"}
    assert not own & {path.name for path in (TEMPLATES / flower.__path__[0] / "templates").iterdir()}
    for name, base in (("frame.html", "base.html"), ("jobs.html", "frame.html"), ("job.html", "frame.html")):
        assert (TEMPLATES / name).read_text("utf-8").startswith(f'{{% extends "{base}" %}}')


def test_flowers_list_of_tasks_is_its_own_with_a_little_more() -> None:
    """Its heads are measured again when the rows are there; all of Flower's template is left as it is."""
    own = Path(flower_settings["template_path"], "tasks.html").read_text("utf-8")
    assert "extra_scripts" not in own, "ours would take the place of a block of Flower's"
    page = PagesLoader(flower_settings["template_path"]).load("tasks.html").code
    assert "task-state-filters" in page
    assert "columns.adjust()" in page


def test_a_flower_of_another_shape_keeps_its_navigation(caplog: pytest.LogCaptureFixture) -> None:
    """Where the list of tabs is not found, nothing is changed, and the log says where the jobs are."""
    assert with_tab("<nav><a>Workers</a></nav>", TAB) == "<nav><a>Workers</a></nav>"
    assert "/jobs" in caplog.text


def test_what_is_not_ours_has_its_licence_beside_it() -> None:
    """The one vendored library is there with its licence, and nothing of the page comes from another machine."""
    assert "MIT License" in (STATIC / "uPlot.LICENSE").read_text("utf-8")
    ours = [path for path in [*STATIC.iterdir(), *TEMPLATES.iterdir()] if not path.name.startswith("uPlot")]
    assert ours
    assert not [path.name for path in ours if "://" in path.read_text("utf-8")]


def test_only_what_has_changed_is_sent() -> None:
    """A cursor brings what came after it; one of another process, or none, brings all."""
    changes = Changes()
    changes.take({"a": 1, "b": {"x": 1}})
    first = changes.since("")
    assert first["parts"] == {"a": 1, "b": {"x": 1}}
    assert changes.since(first["cursor"])["parts"] == {}
    changes.take({"a": 1, "b": {"x": 2}, "c": 3})
    second = changes.since(first["cursor"])
    assert second["parts"] == {"b": {"x": 2}, "c": 3}
    changes.take({"a": 1, "c": 3})
    assert changes.since(second["cursor"])["parts"] == {}
    for foreign in ("", "0000-7", "x", Changes().since("")["cursor"], f"{first['cursor']}x"):
        assert changes.since(foreign)["parts"] == {"a": 1, "c": 3}


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("invalid", "InvalidOutput"),
        ("length", "TruncatedOutput"),
        ("cut_short", "TruncatedOutput"),
        ("refused", "Refused"),
        ("moderated", "Refused"),
        ("http_500", "ProviderError"),
        ("timeout", "ProviderError"),
        ("rate_limited", "ProviderError"),
        ("poison", "WorkersDied"),
        ("worker_lost", "WorkersDied"),
        ("budget", "OverBudget"),
    ],
)
def test_a_cause_has_the_name_that_tasks_fail_under(reason: str, name: str) -> None:
    """The page and Flower's list of tasks call a cause the same."""
    assert class_name(reason) == name


def test_causes_have_counts_and_an_example() -> None:
    """What was rejected comes first, then by count; the newest example of each tells which and why."""
    latest = Latest(
        [],
        {
            "rejected:invalid": [{"index": 6, "detail": "the answer is\nnot JSON.", "at": "2"}],
            "again:http_500": [{"unit": 3, "attempt": 1, "latency_seconds": 0.25, "at": "1"}],
        },
    )
    found = causes({"again:http_500": 9, "rejected:invalid": 2, "rejected:refused": 5}, {"again:http_500": 4}, latest)
    assert [(one["cause"], one["count"], one["recent"], one["example"]) for one in found] == [
        ("rejected:refused", 5, 0, None),
        ("rejected:invalid", 2, 0, "example 7: the answer is not JSON."),
        ("again:http_500", 9, 4, "task 3, attempt 1 after 0.2 s"),
    ]


def reading(at: float, waited: dict[str, int], requests: int = 30, rpm: float | None = 60) -> ModelReading:
    """A model that has used half of its requests, with no other limit."""
    return ModelReading(at, requests, 500, 4, 1.0, 0, rpm, None, None, waited)


def test_columns_tell_shares_of_limits_and_what_bound_them() -> None:
    """A limit that there is not has no share; what was waited for longest between two readings bound the second."""
    columns = model_columns([reading(10, {}), reading(20, {"requests": 9_000, "tokens": 100}), reading(30, {})])
    assert columns["at"] == [10, 20, 30]
    assert columns["requests"] == [0.5, 0.5, 0.5]
    assert columns["tokens"] == columns["concurrent"] == [None, None, None]
    assert columns["binds"] == [None, "requests", None]
    assert {len(column) for column in columns.values()} == {3}
    assert model_columns([])["binds"] == []


def test_columns_of_a_job_are_its_counters() -> None:
    """They grow with the ledger's, so that rates between any two points are exact; money is in dollars."""
    columns = job_columns([JobReading(10.0, 3, 1, 5, 100, 50, 2_500_000, 2)])
    assert columns == {
        "at": [10.0], "accepted": [3], "rejected": [1], "running": [2], "tokens": [150], "cost": [0.0025],
    }  # fmt: skip


def test_an_example_is_read_and_not_run() -> None:
    """Whatever a model writes, the page gets it as text: in the readable form, in a reason and in a raw answer."""
    evil = "<img src=x onerror=alert(1)>"
    accepted = {"index": 0, "output": {"question": evil}, "recipe": "quiz", "at": "1", "variables": {"tema": "mare"}}
    failed = {"index": 1, "raw": evil, "detail": "no", "recipe": "quiz", "at": "2", "cost_usd": 0.001, "attempts": 2}
    found = examples(Latest([accepted], {"rejected:invalid": [failed]}))
    (one,) = found["accepted"]
    assert evil not in one["html"]
    assert "&lt;img" in one["html"]
    assert one["variables"] == [["tema", "mare"]]
    (other,) = found["causes"]["rejected:invalid"]
    assert (other["raw"], other["detail"], other["name"]) == (evil, "no", "example 2")
    assert other["facts"] == ["$0.001000", "attempt 2"]
    assert json.dumps(found)


def test_examples_that_are_known_are_not_sent_again() -> None:
    """Where the newest is the one that the page has, the answer is that it is the same."""
    latest = Latest([{"index": 0, "output": {"a": "b"}, "recipe": "quiz", "at": "7"}], {})
    assert examples(latest, "7") == {"newest": "7", "same": True}
    assert examples(latest, "6")["accepted"]
    assert examples(Latest([], {}), "") == {"newest": "", "accepted": [], "causes": {}, "classes": {}}


def request(host: str = "127.0.0.1:5555", **headers: str) -> Any:
    """What of a request is looked at."""
    return SimpleNamespace(host=host, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("asked", "has_login", "passes"),
    [
        (request(), False, True),
        (request("localhost:5555", Origin="http://localhost:5555"), False, True),
        (request("[::1]:5555", Origin="http://[::1]:5555", Sec_Fetch_Site="same-origin"), False, True),
        (request("flower.example", Origin="https://flower.example"), True, True),
        (request("flower.example", Origin="https://flower.example"), False, False),
        (request(Origin="http://127.0.0.1:8000"), True, False),
        (request(Sec_Fetch_Site="same-site"), True, False),
        (request(Sec_Fetch_Site="cross-site"), True, False),
    ],
)
def test_another_sites_page_is_refused(asked: Any, has_login: bool, passes: bool) -> None:
    """By its origin, by what the browser says of it, and without a login by a name that is not this machine's."""
    if passes:
        refuse_other_sites(asked, has_login)
        return
    with pytest.raises(HTTPError) as refused:
        refuse_other_sites(asked, has_login)
    assert refused.value.status_code == 403
