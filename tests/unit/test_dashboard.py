"""The Grafana dashboard is whole, and what provisions it agrees with docker-compose.yml."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import yaml

from console.metrics.catalogue import METRICS

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy/grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards/genfleet.json").read_text("utf-8"))
PANELS = DASHBOARD["panels"]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """The places of the grid that a panel takes."""
    place = panel["gridPos"]
    return set(
        itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
    )


def test_panels_lie_beside_each_other() -> None:
    """Each panel has an id of its own and its own place, inside the 24 columns that Grafana has."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS) > 20
    for one, other in itertools.combinations(PANELS, 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    assert all(max(x for x, _ in cells(panel)) < 24 for panel in PANELS)


def test_panels_are_of_the_chosen_source_and_say_their_unit() -> None:
    """Every panel and query asks the data source that is chosen above, and every panel with figures has a unit."""
    for panel in PANELS:
        if panel["type"] != "row":
            targets = panel["targets"]
            assert {one["datasource"]["uid"] for one in (panel, *targets)} == {"${datasource}"}
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert len({target["refId"] for target in targets}) == len(targets)


def test_every_metric_has_a_place() -> None:
    """What is measured can be seen: each metric is in the dashboard or an alert, but for a few."""
    shown = json.dumps(DASHBOARD) + (ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8")
    left_out = {name for name in METRICS if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", shown)}
    assert left_out == {
        "genfleet_scrape_duration_seconds",
        "genfleet_job_duration_seconds",
        "genfleet_job_duplicates_total",
        "genfleet_job_duplicate_cost_usd_total",
        "genfleet_job_reserved_usd",
        "genfleet_worker_up",
    }


def test_provisioning_finds_what_is_mounted() -> None:
    """Grafana's own files name the folder that is mounted, and Prometheus by its service's name and port."""
    mounted = {one["target"] for one in SERVICES["grafana"]["volumes"] if isinstance(one, dict)}
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/genfleet.yml").read_text("utf-8"))["providers"][0]
    assert provider["options"]["path"] in mounted
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text("utf-8"))["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    assert SERVICES["prometheus"]["ports"] == ["127.0.0.1:9090:9090"]
    current = next(one for one in DASHBOARD["templating"]["list"] if one["type"] == "datasource")["current"]
    assert current["value"] == source["uid"]
