"""Prometheus with the fleet's figures: its own tools judge them, and it scrapes a fleet at work."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
import redis
import yaml
from fleet_bench import MODEL, Fleet
from prometheus_client.parser import text_string_to_metric_families
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from test_acl import filled, started, url

from console.metrics.catalogue import METRICS, names
from console.services import answers, free_port

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboards/genfleet.json"
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
LOGIN = "anna:pass"

with_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool")


def alerts() -> list[dict[str, Any]]:
    """Every alert rule."""
    found: list[dict[str, Any]] = [
        rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]
    ]
    return found


def queries() -> list[tuple[str, str]]:
    """Every query of the dashboard with its panel's title, a panel's variables filled in."""
    found = []
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel.get("targets", []):
            asked = target["expr"].replace("$__rate_interval", "1m").replace("$job_id", ".*").replace("$model", ".*")
            found.append((panel["title"], asked))
    return found


def promtool(*arguments: str, given: bytes = b"") -> str:
    """What promtool says, which must be content."""
    done = subprocess.run([PROMTOOL or "", *arguments], input=given, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def scrape(url: str, login: str | None = None) -> bytes:
    """What is answered to a GET."""
    headers = {} if login is None else {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    with urlopen(Request(url, headers=headers), timeout=30) as answer:
        return bytes(answer.read())


def values(text: bytes) -> dict[tuple[str, str], float]:
    """By name and the value of the first label in the catalogue that it has, or else nothing, of a scrape."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = METRICS[family.name if family.name in METRICS else f"{family.name}_total"].labels
            found[sample.name, " ".join(sample.labels[label] for label in labels if label in sample.labels)] = (
                sample.value
            )
    return found


@with_promtool
def test_configuration_and_rules_are_valid() -> None:
    """promtool finds nothing to mend in what Prometheus is started with."""
    assert "SUCCESS" in promtool("check", "config", str(ROOT / "deploy/prometheus/prometheus.yml"))
    assert f"{len(alerts())} rules found" in promtool("check", "rules", "--lint-fatal", str(RULES))


@with_promtool
def test_each_alert_fires_where_it_must() -> None:
    """Each rule has its cases, where it fires and where not, and holds them."""
    cases = Path(__file__).with_name("alerts_test.yml")
    fired = {
        case["alertname"]
        for test in yaml.safe_load(cases.read_text("utf-8"))["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in alerts()}
    assert "SUCCESS" in promtool("test", "rules", str(cases))


def test_rules_and_dashboard_ask_for_metrics_that_there_are() -> None:
    """Every name in an alert or a panel is in the catalogue."""
    known = {name for one in METRICS.values() for name in names([one])}
    asked = [rule["expr"] for rule in alerts()] + [query for _, query in queries()]
    found = {name for text in asked for name in re.findall(r"\bgenfleet_\w+", text)}
    assert len(found) > 30
    assert found <= known


class Prometheus:
    """A real one on a free port, with the repository's rules, which scrapes these targets every second."""

    def __init__(self, folder: Path, targets: list[dict[str, Any]]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        folder.mkdir()
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(RULES)]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config | {"scrape_configs": targets}))
        command = [PROMETHEUS or "", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        command.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def ready(self) -> bool:
        """Whether it answers questions: until then it answers 503."""
        try:
            with urlopen(f"{self.url}/-/ready", timeout=30):
                return True
        except OSError:
            return False

    def ask(self, path: str, **arguments: str) -> Any:
        """The data of an answer of its interface."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(arguments)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        """What the expression finds now."""
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found


@pytest.fixture
def prometheus(fleet: Fleet, tmp_path: Path) -> Iterator[tuple[Fleet, str, Prometheus, int]]:
    """A fleet at work on a long job, its metrics and its Flower, and a Prometheus that scrapes both."""
    # After errors an example is rejected only with the fifth attempt, after a refusal at once.
    fleet.provide(latency_seconds=0.3, faults={"500": 0.3, "refused": 0.05})
    fleet.declare({MODEL: {"requests_per_minute": 1200, "tokens_per_minute": 200_000, "concurrent_requests": 10}})
    fleet.worker(2, 10)
    ports = [free_port(), free_port()]
    fleet.start("metrics", "--port", str(ports[0]))
    fleet.start("flower", "--port", str(ports[1]), "--address", "0.0.0.0", FLOWER_BASIC_AUTH=LOGIN)
    fleet.until(lambda: answers(f"http://127.0.0.1:{ports[0]}/healthcheck"), "metrics answer")
    fleet.until(lambda: answers(f"http://127.0.0.1:{ports[1]}/healthcheck"), "Flower answers")
    fleet.genfleet("limits", "--daily-budget", "100")
    job = fleet.submit("small", "--count", "2000", "--budget", "20")
    user, _, password = LOGIN.partition(":")
    own = {"job_name": "genfleet", "static_configs": [{"targets": [f"127.0.0.1:{ports[0]}"]}]}
    flower = {
        "job_name": "flower",
        "metrics_path": "/fleet/metrics",
        "static_configs": [{"targets": [f"127.0.0.1:{ports[1]}"]}],
        "basic_auth": {"username": user, "password": password},
        # Rules and panels are written for one that is scraped once: here are only those that tell it is.
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "genfleet_up", "action": "keep"}],
    }
    server = Prometheus(tmp_path / "prometheus", [own, flower])
    try:
        yield fleet, job, server, ports[0]
    finally:
        server.process.terminate()
        server.process.wait(30)


@pytest.mark.skipif(PROMETHEUS is None, reason="needs prometheus")
def test_prometheus_sees_a_fleet_at_work(prometheus: tuple[Fleet, str, Prometheus, int]) -> None:
    """It reads both ports without complaint, and every panel and every alert finds what it asks for."""
    fleet, job, server, port = prometheus
    fleet.until(server.ready, "Prometheus is ready")
    fleet.until(lambda: len(server.query("genfleet_up == 1")) == 2, "both targets are read")
    fleet.until(lambda: server.query("genfleet_job_rejections > 0"), "an example is rejected")

    def panels_without_data() -> list[tuple[str, str]]:
        return [(title, query) for title, query in queries() if not server.query(query)]

    fleet.until(lambda: not panels_without_data() or None, "every panel has data", 60)
    # With `bool`, comparisons tell 0 or 1 instead of leaving out what is not so.
    compared = [re.sub(r"(==|>=|<=|>|<) (?=[\d.(a-z])", r"\1 bool ", rule["expr"]) for rule in alerts()]
    assert [expression for expression in compared if not server.query(expression)] == []
    assert {target["health"] for target in server.ask("targets")["activeTargets"]} == {"up"}
    assert {rule["health"] for group in server.ask("rules")["groups"] for rule in group["rules"]} == {"ok"}
    if PROMTOOL is not None:
        assert promtool("check", "metrics", given=scrape(f"http://127.0.0.1:{port}/metrics")) == ""
    # It asks for OpenMetrics, where a counter is described without its ending.
    kinds = {name: one[0]["type"] for name, one in server.ask("metadata").items() if name.startswith("genfleet_")}
    assert kinds == {one.name.removesuffix("_total"): one.kind for one in METRICS.values()}
    fleet.genfleet("cancel", job)


def test_a_scrape_is_what_status_says(fleet: Fleet) -> None:
    """At the end of a job its figures, on both ports, are those of `status`, and calls add up."""
    fleet.provide(faults={"500": 0.2})
    ports = [free_port(), free_port()]
    fleet.start("metrics", "--port", str(ports[0]), FLOWER_BASIC_AUTH=LOGIN)
    fleet.start("flower", "--port", str(ports[1]), FLOWER_BASIC_AUTH=LOGIN)
    fleet.worker(1, 10)
    job = fleet.submit("small", "--count", "60", "--budget", "2")
    status = fleet.until_state(job, "complete")
    fleet.until(lambda: answers(f"http://127.0.0.1:{ports[1]}/healthcheck"), "Flower answers")
    # On the loopback address nobody is asked for a password, as of Flower's own figures.
    own = values(scrape(f"http://127.0.0.1:{ports[0]}/metrics"))
    assert own["genfleet_up", ""] == own["genfleet_job_state", f"{job} complete"] == own["genfleet_workers", ""] == 1
    expected = {
        ("genfleet_job_examples", f"{job} accepted"): status.accepted,
        ("genfleet_job_examples", f"{job} rejected"): status.rejected,
        ("genfleet_job_attempts_total", job): status.attempts,
        ("genfleet_job_prompt_tokens_total", job): status.prompt_tokens,
        ("genfleet_job_completion_tokens_total", job): status.completion_tokens,
        ("genfleet_job_cost_usd_total", job): status.cost_usd,
        ("genfleet_day_cost_usd", ""): fleet.billed() / 1e9,
        ("genfleet_job_budget_usd", job): 2,
        ("genfleet_job_queued_tasks", job): 0,
        ("genfleet_model_admissions_total", MODEL): fleet.billed("calls"),
        ("genfleet_model_calls_in_flight", MODEL): 0,
        ("genfleet_model_call_duration_seconds_count", MODEL): status.accepted,
    }
    again = {f"{job} {cause.removeprefix('again:')}": n for cause, n in status.reasons.items() if "again:" in cause}
    expected |= {("genfleet_job_attempts_again_total", name): count for name, count in again.items()}
    assert {name: own[name] for name in expected} == pytest.approx(expected)
    assert sum(again.values()) == status.attempts - 60
    with pytest.raises(OSError, match="401"):
        scrape(f"http://127.0.0.1:{ports[1]}/fleet/metrics")
    flower = values(scrape(f"http://127.0.0.1:{ports[1]}/fleet/metrics", LOGIN))
    assert {name: flower[name] for name in expected} == pytest.approx(expected)


def test_others_are_asked_for_the_password(fleet: Fleet) -> None:
    """Open to others it asks for FLOWER_BASIC_AUTH, without which it does not start, and answers GET alone."""
    port = free_port()
    assert "set FLOWER_BASIC_AUTH" in fleet.genfleet("metrics", "--address", "0.0.0.0", code=2).err
    assert "needs REDIS_URL" in fleet.genfleet("metrics", code=2, REDIS_URL="").err
    server = fleet.start("metrics", "--port", str(port), "--address", "0.0.0.0", FLOWER_BASIC_AUTH=LOGIN)
    url = f"http://127.0.0.1:{port}"
    fleet.until(lambda: answers(f"{url}/metrics"), "metrics answer")
    for login in (None, "anna:wrong", ":", "anna"):
        with pytest.raises(OSError, match="401"):
            scrape(f"{url}/metrics", login)
    assert b"genfleet_up 1.0" in scrape(f"{url}/metrics", LOGIN)
    with pytest.raises(OSError, match="404"):
        scrape(f"{url}/fleet", LOGIN)
    assert f"{port} of 127.0.0.1 cannot be listened on" in fleet.genfleet("metrics", "--port", str(port), code=2).err
    assert server.end().code == 0


def test_the_rights_of_who_only_looks_suffice(tmp_path: Path) -> None:
    """As the broker's user `viewer` every figure of a job and a worker is read, and nothing is refused."""
    process, broker = started("valkey", tmp_path, f"{filled()}user tester on nopass ~* &* +@all\n")
    try:
        tester = url(broker, "tester")
        with redis.Redis.from_url(tester, retry=Retry(ConstantBackoff(0.05), 100)) as client:
            client.ping()
            with Fleet(tmp_path, tester, client) as fleet:
                fleet.worker(1, 5)
                job = fleet.submit("small", "--count", "5")
                fleet.until_state(job, "complete")
                port = free_port()
                fleet.start("metrics", "--port", str(port), REDIS_URL=url(broker, "viewer"))
                fleet.until(lambda: answers(f"http://127.0.0.1:{port}/healthcheck"), "metrics answer")
                own = values(scrape(f"http://127.0.0.1:{port}/metrics"))
                assert (own["genfleet_up", ""], own["genfleet_job_examples", f"{job} accepted"]) == (1, 5)
                assert own["genfleet_model_call_duration_seconds_count", MODEL] == 5
                assert [entry for entry in client.acl_log() if entry["username"] == "viewer"] == []
    finally:
        process.terminate()
        process.wait(10)
