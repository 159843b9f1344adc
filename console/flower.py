"""Flower, with the fleet's page beside its own."""

from __future__ import annotations

import os
import sys

from config.settings import settings
from console.services import Service, answers
from workers.orphan import end_with_parent

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def flower(port: int) -> Service:
    """Flower on a port of the loopback address."""
    return Service("flower", ["flower", "--port", str(port)], lambda: answers(f"http://127.0.0.1:{port}/healthcheck"))


def serve_flower(port: int, address: str) -> None:
    """Runs Flower in this process until SIGTERM or SIGINT."""
    end_with_parent()
    auth = settings().flower_basic_auth
    arguments = ["celery", "-A", "workers", "flower", f"--port={port}", f"--address={address}"]
    # With the reason of each failure, which Flower leaves out.
    arguments.append("--tasks_columns=uuid,state,exception,received,runtime,worker,name")
    if auth is not None:
        # By the environment: what stands in the arguments of a process, everyone on the machine can read.
        os.environ["FLOWER_BASIC_AUTH"] = auth.get_secret_value()
    else:
        os.environ.pop("FLOWER_BASIC_AUTH", None)
    # It would open Flower's API to every page in this machine's browser.
    os.environ.pop("FLOWER_UNAUTHENTICATED_API", None)
    from celery.__main__ import main as celery  # noqa: PLC0415  heavy

    from console import flower_guard, flower_page  # noqa: PLC0415

    flower_guard.guard(address)
    flower_page.add()
    sys.argv = arguments
    celery()
