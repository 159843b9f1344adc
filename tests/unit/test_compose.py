"""The containers: docker-compose.yml, Dockerfile and .env.example agree with each other and with the code."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from dotenv import dotenv_values
from typer.main import get_command

from config.models import load_models
from config.settings import Settings
from console.cli import app
from workers import supervisor

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")

#: Variables of .env that Compose alone reads.
FOR_COMPOSE = {"REDIS_PASSWORD", "GRAFANA_PASSWORD"}
#: Variables in a service that other programs than ours read.
FOR_OTHERS = {"REDISCLI_AUTH"}
OURS = ("worker", "collector", "flower", "metrics")
#: Services that --profile monitoring starts, and no command without it.
MONITORING = ("metrics", "prometheus", "grafana")
#: What a person has to fill in before the fleet can start.
FILLED = {"REDIS_PASSWORD": "pass", "FLOWER_BASIC_AUTH": "me:pass"}

MODELS = load_models()
SERVICES = yaml.safe_load(COMPOSE)["services"]
KEYS = {one.provider.api_key_env for one in MODELS.values()} | {"HF_TOKEN"}


def interpolated(text: str, values: dict[str, str]) -> str:
    """The text as Compose reads it: ${NAME:-default} and ${NAME:?message}, empty as unset."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match["name"], match["kind"], match["rest"]
        if values.get(name):
            return values[name]
        if kind == ":-":
            return str(rest)
        raise KeyError(f"{name}: {rest}")

    return re.sub(r"\$\{(?P<name>\w+)(?P<kind>:-|:\?)(?P<rest>[^}]*)\}", value, text)


FILLED_IN = yaml.safe_load(interpolated(COMPOSE, FILLED))


def example_names() -> set[str]:
    """The variables of .env.example, those commented out too."""
    return set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", EXAMPLE, re.MULTILINE))


def setting_names() -> set[str]:
    """The variables that the code reads: settings, keys, and addresses that models.toml names."""
    names = {str(field.alias) for field in Settings.model_fields.values()} | KEYS
    return names | {name for one in MODELS.values() if (name := one.provider.base_url_env)}


def seconds(duration: str) -> int:
    """A duration of Compose such as 11m or 1m30s."""
    parts = re.findall(r"(\d+)(h|m|s)", duration)
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each with its arguments on one line."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def final_stage() -> list[tuple[str, str]]:
    """The instructions of the stage that becomes the image."""
    stages = [place for place, (name, _) in enumerate(instructions()) if name == "FROM"]
    return instructions()[stages[-1] :]


def commands_in(text: str) -> list[list[str]]:
    """Every `genfleet …` line in the comments of a file, as words."""
    found = re.findall(r"^\s*#.*?\bgenfleet ([a-z]+(?: [^`<>()\n]*)?)", text, re.MULTILINE)
    return [shlex.split(line) for line in found]


def command(name: str) -> Any:
    """A subcommand of genfleet, or None."""
    group: Any = get_command(app)
    return group.get_command(None, name)


def check_command(words: list[str]) -> None:
    """Asserts that a subcommand and all its options exist."""
    known = command(words[0])
    assert known is not None, f"genfleet {words[0]} does not exist"
    options = {name for param in known.params for name in (*param.opts, *param.secondary_opts)}
    for word in words[1:]:
        if word.startswith("-") and word != "-":
            assert word.split("=")[0] in options, f"genfleet {words[0]} has no {word}"


def test_the_file_follows_the_compose_specification() -> None:
    """docker-compose.yml is valid by the Compose Specification's own schema."""
    schema = json.loads((ROOT / "tests/compose_spec/schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(FILLED_IN)


def test_the_schema_finds_a_mistake() -> None:
    """The schema refuses a misspelt field, so that the test above means something."""
    schema = json.loads((ROOT / "tests/compose_spec/schema.json").read_text("utf-8"))
    with pytest.raises(jsonschema.ValidationError, match="stop_grace_perod"):
        jsonschema.validate({"services": {"worker": {"image": "x", "stop_grace_perod": "1m"}}}, schema)


def test_services() -> None:
    """The fleet is a broker, workers, a collector and Flower; Prometheus and Grafana come with a profile."""
    assert set(SERVICES) == {"redis", *OURS, *MONITORING}
    assert {name for name, one in SERVICES.items() if one.get("profiles") == ["monitoring"]} == set(MONITORING)
    assert not any("profiles" in SERVICES[name] for name in set(SERVICES) - set(MONITORING))


def test_monitoring_is_of_versions_that_stay() -> None:
    """Images of others are of one exact version, so that the profile starts the same tomorrow."""
    for name in ("prometheus", "grafana"):
        assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_monitoring_reads_what_is_here() -> None:
    """What is mounted into Prometheus and Grafana is in the repository, and their data outlives the containers."""
    for name in ("prometheus", "grafana"):
        binds = [one for one in SERVICES[name]["volumes"] if isinstance(one, dict)]
        assert all((ROOT / one["source"]).is_dir() and one["read_only"] for one in binds)
        assert any(str(one).startswith(f"{name}:/") for one in SERVICES[name]["volumes"])


def test_prometheus_alone_reaches_the_metrics() -> None:
    """They listen on a loopback address that only Prometheus shares, at the port that it scrapes."""
    assert SERVICES["metrics"]["network_mode"] == "service:prometheus"
    assert "--address" not in SERVICES["metrics"]["command"]
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    (scraped,) = config["scrape_configs"]
    (port,) = [one.default for one in command("metrics").params if one.name == "port"]
    assert scraped["static_configs"] == [{"targets": [f"127.0.0.1:{port}"]}]


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")
def test_grafana_needs_a_password() -> None:
    """Without GRAFANA_PASSWORD it ends at once and says what is missing; the rest of the fleet needs none."""
    shell, option, script = SERVICES["grafana"]["entrypoint"]
    script = script.replace("$$", "$").replace("/run.sh", "true")
    for password, code in (("", 1), ("secret", 0)):
        env = {"GF_SECURITY_ADMIN_PASSWORD": password}
        done = subprocess.run([shell, option, script], env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, "GRAFANA_PASSWORD" in done.stderr) == (code, code == 1)


@pytest.mark.parametrize("name", OURS)
def test_commands_exist(name: str) -> None:
    """Every service's command is a subcommand of genfleet with options that it has."""
    program, *words = FILLED_IN["services"][name]["command"]
    assert program == "genfleet"
    check_command(words)


@pytest.mark.parametrize("words", [*commands_in(COMPOSE), *commands_in(EXAMPLE)], ids=" ".join)
def test_commands_in_comments_exist(words: list[str]) -> None:
    """What the comments tell a person to type exists."""
    check_command(words)


def test_comments_say_how_to_submit() -> None:
    """The head of docker-compose.yml shows a submission, by a service that exists."""
    assert re.search(r"docker compose run --rm (-T )?worker genfleet submit ", COMPOSE)


def test_used_variables_are_in_the_example() -> None:
    """Every variable that docker-compose.yml interpolates or sets stands in .env.example."""
    used = set(re.findall(r"\$\{(\w+)", COMPOSE))
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}
    assert {name for name in used | given if not name.startswith("GF_")} <= example_names() | FOR_OTHERS


def test_the_example_names_all_that_is_read_and_nothing_else() -> None:
    """.env.example lists every variable of the settings, keys and addresses, and no other but Compose's own."""
    assert example_names() == setting_names() | FOR_COMPOSE


def test_the_example_explains_each_variable() -> None:
    """A comment stands right above every variable of .env.example."""
    lines = EXAMPLE.splitlines()
    assigned = re.compile(r"(# )?[A-Z][A-Z0-9_]*=")
    for above, line in itertools.pairwise(lines):
        if assigned.match(line):
            assert above.startswith("# ") and not assigned.match(above), f"{line} has no comment"


def test_the_example_gives_nothing_away_and_sets_nothing() -> None:
    """A copy of .env.example sets no variable: every one that is not commented out waits to be filled in."""
    assert not any(dotenv_values(ROOT / ".env.example").values())


def test_suggested_values_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values that stand in comments in .env.example are values that the settings take."""
    suggested = dict(re.findall(r"^# ([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE, re.MULTILINE))
    for name, value in suggested.items():
        monkeypatch.setenv(name, value)
    assert Settings(_env_file=None).max_concurrent == int(suggested["MAX_CONCURRENT"])


@pytest.mark.parametrize("name", OURS)
def test_the_environment_of_a_service_can_be_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a service is given makes valid settings, its broker by the service's name and with the password."""
    for variable in setting_names():
        monkeypatch.delenv(variable, raising=False)
    for variable, value in FILLED_IN["services"][name]["environment"].items():
        monkeypatch.setenv(variable, value)
    assert Settings(_env_file=None).redis_url == "redis://:pass@redis:6379/0"


@pytest.mark.parametrize("name", FILLED)
def test_secrets_are_required(name: str) -> None:
    """Compose refuses to start while a password is empty, and says where to set it."""
    with pytest.raises(KeyError, match=rf"{name}: set it in \.env"):
        interpolated(COMPOSE, {**FILLED, name: ""})


def test_only_workers_get_keys() -> None:
    """The worker alone is given .env and so the providers' keys."""
    assert SERVICES["worker"]["env_file"] == ".env"
    for name in set(SERVICES) - {"worker"}:
        assert "env_file" not in SERVICES[name]
        assert not KEYS & set(SERVICES[name].get("environment", {}))
    assert not any(key in COMPOSE.split("\nname:")[1] for key in KEYS)


def test_ports_are_on_the_loopback_address() -> None:
    """Nothing is published to the network, the broker not at all."""
    for service in SERVICES.values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    assert SERVICES["flower"]["ports"] == ["127.0.0.1:5555:5555"]
    assert "ports" not in SERVICES["redis"]


def test_the_broker_keeps_everything() -> None:
    """The broker appends to disk, evicts nothing, asks for a password and keeps its data in a volume."""
    lines = FILLED_IN["configs"]["redis"]["content"].splitlines()
    assert {"requirepass pass", "appendonly yes", "maxmemory-policy noeviction", "dir /data"} <= set(lines)
    mounted = {one["source"]: one["target"] for one in SERVICES["redis"]["configs"]}
    assert SERVICES["redis"]["command"] == ["redis-server", mounted["redis"]]
    assert "redis:/data" in SERVICES["redis"]["volumes"]


def test_no_password_stands_in_arguments() -> None:
    """Passwords are in files and the environment, not in the arguments that every user of the machine can read."""
    commands = [[service.get("command"), service.get("healthcheck")] for service in SERVICES.values()]
    assert "$" not in json.dumps(commands)


@pytest.mark.parametrize("name", OURS)
def test_services_wait_for_a_healthy_broker(name: str) -> None:
    """Whoever needs the broker starts after its health check has passed, and starts again if it fails."""
    assert SERVICES[name]["depends_on"]["redis"] == {"condition": "service_healthy"}
    assert SERVICES[name]["restart"] == SERVICES["redis"]["restart"] == "unless-stopped"
    assert SERVICES["redis"]["healthcheck"]["test"]


def test_workers_can_be_scaled() -> None:
    """A worker has neither a name nor a port of its own, so there can be several."""
    assert not {"container_name", "ports", "hostname"} & set(SERVICES["worker"])


def test_workers_have_time_to_end_their_calls() -> None:
    """A container is killed only after the longest grace period that the settings allow, and the supervisor's rest."""
    longest = next(rule.le for rule in Settings.model_fields["grace_seconds"].metadata if hasattr(rule, "le"))
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > longest + supervisor._AFTER_GRACE_SECONDS


@pytest.mark.parametrize("name", OURS)
def test_data_outlives_containers(name: str) -> None:
    """Results and journals of paid answers are in a volume that all our services share."""
    assert FILLED_IN["services"][name]["environment"]["GENFLEET_DATA"] == "/app/data"
    assert "data:/app/data" in FILLED_IN["services"][name]["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_own_models_and_recipes_are_mounted(name: str) -> None:
    """The paths of models and recipes in a container are where those of .env are mounted, by default the built-in."""
    service, environment = FILLED_IN["services"][name], FILLED_IN["services"][name]["environment"]
    (config,) = service["configs"]
    (bind,) = [volume for volume in service["volumes"] if isinstance(volume, dict)]
    assert config["target"] == environment["GENFLEET_MODELS"]
    assert bind["target"] == environment["GENFLEET_RECIPES"]
    assert (ROOT / FILLED_IN["configs"][config["source"]]["file"]).is_file()
    assert (ROOT / bind["source"]).is_dir()


def test_the_image_does_not_run_as_root() -> None:
    """The image's last user is one that it made itself, and owns the data folder."""
    users = [what for name, what in final_stage() if name == "USER"]
    assert users[-1:] == ["genfleet"]
    made = " ".join(what for name, what in final_stage() if name == "RUN")
    assert "useradd --uid 10001" in made
    assert "chown genfleet:genfleet /app/data" in made


def test_the_image_holds_what_runs_and_no_build_tools() -> None:
    """The image has the trust store and an init, and of the build only its wheels."""
    installed = re.findall(r"apt-get install (?:-\S+ )*((?:[a-z-]+ ?)+)", "\n".join(w for _, w in final_stage()))
    assert {package for line in installed for package in line.split()} == {"ca-certificates", "tini"}
    assert "COPY" not in {name for name, _ in final_stage()}
    assert ("ENTRYPOINT", '["/usr/bin/tini", "--"]') in final_stage()


def test_the_image_is_made_of_every_package_and_nothing_secret() -> None:
    """What is copied are the packages and their description; .dockerignore lets nothing else in, .env least of all."""
    copied = {source for name, what in instructions() if name == "COPY" for source in what.split()[:-1]}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert copied == packages | {"pyproject.toml", "README.md"}
    ignore = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] not in ("", "#")]
    assert ignore[0] == "*"
    assert {line[1:] for line in ignore if line.startswith("!")} == copied


def test_interpolation_is_understood() -> None:
    """No variable of docker-compose.yml is left over in the form that these tests read."""

    def strings(node: Any) -> list[str]:
        if isinstance(node, dict):
            return [text for value in node.values() for text in strings(value)]
        if isinstance(node, list):
            return [text for value in node for text in strings(value)]
        return [str(node)]

    assert not [text for text in strings(FILLED_IN) if "${" in text]
