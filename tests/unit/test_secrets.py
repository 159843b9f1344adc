"""A key that is set shows in nothing that is printed, logged, stored or sent besides the one header it is for."""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from samples import answer_of, recipe_of

import config
from config.errors import UserError
from config.models import load_models, model, models
from config.request import build
from config.settings import api_key, missing_key, settings
from workers.client import Answer, Client, _from_status, read
from workers.errors import Failure, decide
from workers.records import attempt_record, example_records
from workers.verdict import Tries, judge

ROOT = Path(config.__file__).parents[1]
PACKAGES = ("config", "ledger", "workers", "producers", "console")
SECRET = "sk-hush-4f1d-do-not-tell"
PASSWORD = "hush-password"
HELD = ("OPENROUTER_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "FLOWER_BASIC_AUTH")


@pytest.fixture(params=["process", "file"])
def everything_set(request: pytest.FixtureRequest, clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every secret there is, in the environment or in .env."""
    values = dict.fromkeys(HELD, SECRET) | {"FLOWER_BASIC_AUTH": f"anna:{SECRET}"}
    values |= {"REDIS_URL": f"redis://:{PASSWORD}@broker:6379/0"}
    if request.param == "file":
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        return
    for name, value in values.items():
        clean.setenv(name, value)


held = pytest.mark.usefixtures("everything_set")


def told(*values: Any) -> str:
    """All that can be seen of these values."""
    return "\n".join(f"{value!r} {value!s} {getattr(value, '__dict__', '')!r}" for value in values)


@held
def test_the_secrets_are_there() -> None:
    """The keys are set, and are found when they are asked for."""
    assert api_key("OPENROUTER_API_KEY") == api_key("OPENAI_API_KEY") == SECRET
    assert {one.provider.key() for one in models().values()} == {SECRET}
    assert settings().hf_token is not None
    assert settings().redis_url is not None


@held
def test_settings_show_none() -> None:
    """Settings hold no API key at all, and the rest masked or left out of what is shown."""
    assert SECRET not in told(settings()) + settings().model_dump_json() + repr(settings().model_dump())
    assert PASSWORD not in repr(settings()) + str(settings())


@held
def test_models_and_providers_show_none() -> None:
    """What a worker knows of a provider is the name of its key's variable."""
    found = list(models().values())
    seen = told(*found, *(one.provider for one in found)) + "".join(one.model_dump_json() for one in found)
    assert SECRET not in seen
    assert "OPENROUTER_API_KEY" in seen


@held
@pytest.mark.parametrize("name", ["anthropic/claude-haiku-4.5", "anthropic/claude-3.5-haiku", "gpt-4o"])
def test_requests_hold_none(name: str) -> None:
    """The body of a call has no key in it; nor can a prompt reach one."""
    recipe = recipe_of(model=name, prompt="{{ subject }} {{ self }} {{ items }}")
    request = build(recipe, model(name), {"subject": "storia"}, 1)
    assert SECRET not in json.dumps(request) + recipe.model_dump_json() + told(recipe)


@held
def test_errors_name_the_variable_alone() -> None:
    """Sentences for people name a key's variable and never its value, whatever else is wrong."""
    said = [missing_key(name, "a model") for name in HELD]
    for broken in (lambda: model("gpt-9"), lambda: load_models(Path("none.toml"))):
        with pytest.raises(UserError) as caught:
            broken()
        said.append(told(caught.value))
    assert SECRET not in "".join(said)


@held
def test_settings_errors_show_none(clean: pytest.MonkeyPatch) -> None:
    """A secret in the wrong variable is not repeated by the error about it."""
    for name in ("REDIS_URL", "OPENAI_BASE_URL", "OPENROUTER_BASE_URL"):
        clean.setenv(name, SECRET)
    with pytest.raises(UserError) as caught:
        settings()
    assert SECRET not in told(caught.value)


def rejected(status: int) -> openai.APIStatusError:
    """An error of a provider that repeats the key it was sent, as some do."""
    quoted = f"Incorrect API key provided: {SECRET}."
    raw = {"message": quoted, "type": "invalid_request_error", "code": "invalid_api_key", "param": SECRET}
    request = httpx2.Request("POST", "https://p.example", headers={"Authorization": f"Bearer {SECRET}"})
    return openai.APIStatusError(quoted, response=httpx2.Response(status, request=request), body=raw)


@held
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_a_provider_that_repeats_the_key(status: int) -> None:
    """Nothing of an error's text is kept: neither in the failure nor in what becomes of it."""
    failures = [_from_status(rejected(status), 1.0)]
    echo = read({"error": {"code": status, "message": SECRET, "metadata": {"raw": SECRET}}}, model("gpt-4o"), 1.0)
    assert isinstance(echo, Failure)
    for failure in (*failures, echo):
        recipe, item = recipe_of(call={"attempts": 1}), {"first": 0, "count": 1, "variables": {}}
        verdict = judge(failure, recipe, item, Tries(), random.Random(0))
        attempt = attempt_record("j", 0, 1, recipe, "w", verdict, failure)
        records = json.dumps([attempt, example_records(verdict, item, attempt), verdict.settlement.to_script()])
        assert SECRET not in told(failure, decide(failure), verdict, verdict.settlement) + records


@held
def test_clients_show_none() -> None:
    """A client for a provider, printed or in a traceback's locals, does not show its key."""
    client = Client(model("gpt-4o").provider, SECRET)
    assert SECRET not in f"{client!r} {client!s} {vars(client)!r}"


@held
def test_answers_show_none() -> None:
    """What is kept of an answer comes from its body."""
    assert SECRET not in told(answer_of())
    assert "key" not in Answer.__dataclass_fields__


def sources() -> Iterator[tuple[str, str]]:
    """Every module of the packages, with its text."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def test_who_takes_a_secret_out() -> None:
    """A key's value is used for the client alone; all others only ask whether there is one."""
    taken = {"workers/clients.py": 1}
    for name, text in sources():
        asked = len(re.findall(r"\.key\(\) is (?:not )?None|if [\w.]+\.key\(\) else", text))
        assert text.count(".key()") - asked == taken.get(name, 0), f"{name} uses the value of a key"
        assert ("get_secret_value" in text) <= (name in ("console/flower.py", "console/metrics/server.py"))
        assert ("api_key(" in text) <= (name in ("config/settings.py", "config/models.py"))


ERRORS = {"error", "problem", "exc", "exception", "e"}


def test_logs_take_no_error_as_it_is() -> None:
    """A log line names an error's type: its text may repeat an address, a prompt or a key."""
    for name, text in sources():
        if not re.search(r"\blog(?:ger|ging)?\.\w+\(", text):
            continue
        for node in ast.walk(ast.parse(text)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id in ("log", "logger", "logging"):
                given = {argument.id for argument in node.args if isinstance(argument, ast.Name)}
                assert not ERRORS & given, f"{name}:{node.lineno}"
