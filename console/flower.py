"""Flower, with the fleet's jobs as its first tab."""

from __future__ import annotations

import os
import sys

from config.logs import say
from config.settings import settings
from console.services import Service, answers
from workers.orphan import end_with_parent

#: Tasks that Flower remembers, the newest. It keeps some 4 kB of each: this many are 100 MB, and a million would be
#: 4 GB. What is to be counted is counted by the ledger.
MAX_TASKS = 20_000
MAX_TASKS_VARIABLE = "FLOWER_MAX_TASKS"


def flower(port: int) -> Service:
    """Flower on a port of the loopback address."""
    return Service("flower", ["flower", "--port", str(port)], lambda: answers(f"http://127.0.0.1:{port}/healthcheck"))


def serve_flower(port: int, address: str, url_prefix: str = "", read_only: bool = False) -> None:
    """Runs Flower in this process until SIGTERM or SIGINT.

    Args:
        url_prefix: the path under which a proxy shows it, such as "flower"; none by default.
        read_only: nothing can be done in it, only seen.
    """
    end_with_parent()
    auth = settings().flower_basic_auth
    arguments = ["celery", "-A", "workers", "flower", f"--port={port}", f"--address={address}"]
    # Tornado would log in its own form, from INFO on.
    arguments.append("--logging=none")
    # A task's recipe and example, and why it failed, which Flower leaves out.
    arguments.append("--tasks_columns=uuid,args,state,exception,retries,runtime,received,worker")
    if MAX_TASKS_VARIABLE not in os.environ:
        arguments.append(f"--max_tasks={MAX_TASKS}")
    if url_prefix.strip("/"):
        arguments.append(f"--url_prefix={url_prefix.strip('/')}")
    if read_only:
        arguments.append("--read_only=true")
    if auth is not None:
        # By the environment: what stands in the arguments of a process, everyone on the machine can read.
        os.environ["FLOWER_BASIC_AUTH"] = auth.get_secret_value()
    else:
        os.environ.pop("FLOWER_BASIC_AUTH", None)
    # It would open Flower's API to every page in this machine's browser.
    os.environ.pop("FLOWER_UNAUTHENTICATED_API", None)
    from celery.__main__ import main as celery  # noqa: PLC0415  heavy

    from console import flower_guard, jobs_page  # noqa: PLC0415
    from console.metrics import flower as metrics  # noqa: PLC0415

    flower_guard.guard(address)
    jobs_page.add()
    metrics.add()
    host, prefix = f"[{address}]" if ":" in address else address, url_prefix.strip("/")
    say("serving", what="Flower", url=f"http://{host}:{port}/{prefix}")
    sys.argv = arguments
    celery()
