"""Services in the foreground: `broker`, `provider`, `flower`."""

from __future__ import annotations

import signal
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from config import folders, logs
from config.errors import UserError
from config.models import Limits, models
from config.settings import missing_broker, settings
from console.broker import serve_broker
from console.commands.options import LogFormat
from console.flower import serve_flower
from console.services import LOOPBACK, free_port
from ledger.connection import connect
from workers.orphan import end_with_parent


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    for command in (flower, metrics, provider, broker):
        app.command()(command)


def flower(
    port: Annotated[int, typer.Option("--port", help="Port of Flower's pages.")] = 5555,
    address: Annotated[str, typer.Option("--address", help="Address to listen on.")] = "127.0.0.1",
    url_prefix: Annotated[str, typer.Option("--url-prefix", help="Path under which a proxy shows it.")] = "",
    read_only: Annotated[bool, typer.Option("--read-only", help="Show, without buttons to act.")] = False,
    log_format: LogFormat = None,
) -> None:
    """Flower on the fleet at REDIS_URL, its first tab the jobs; FLOWER_BASIC_AUTH=user:password makes it ask for them.

    Counts on the Jobs tab are the ledger's, and exact. Flower's own are of the events that it saw: of the newest
    20,000 tasks (FLOWER_MAX_TASKS), since it started.

    Example: genfleet flower --port 5555
    """
    _may_listen("flower", address)
    serve_flower(port, address, url_prefix, read_only)


def _may_listen(what: str, address: str) -> None:
    """Raises UserError where there is no fleet, or others could reach it without a password."""
    if settings().redis_url is None:
        raise UserError(missing_broker(what))
    if address not in LOOPBACK and settings().flower_basic_auth is None:
        raise UserError(f"address: {address} is open to others; set FLOWER_BASIC_AUTH=user:password first.")


def metrics(
    port: Annotated[int, typer.Option("--port", help="Port to answer on.", min=1, max=65535)] = 9464,
    address: Annotated[str, typer.Option("--address", help="Address to listen on.")] = "127.0.0.1",
    log_format: LogFormat = None,
) -> None:
    """The fleet's figures for Prometheus, at /metrics: jobs, limits, costs, latencies and workers, from the ledger.

    On another address than the loopback's it asks for FLOWER_BASIC_AUTH=user:password. Flower has the same figures at
    /fleet/metrics. What each tells: docs/metrics.md; rules, a dashboard and what starts them: deploy/.

    Example: genfleet metrics --port 9464
    """
    from console.metrics.server import serving  # noqa: PLC0415  only this command needs it

    _may_listen("metrics", address)
    end_with_parent()
    login = None if address in LOOPBACK else settings().flower_basic_auth
    url = settings().redis_url or ""
    with serving(cache(lambda: connect(url)), port, address, login) as server:
        host = f"[{address}]" if ":" in address else address
        logs.say("serving", what="Metrics", url=f"http://{host}:{port}/metrics")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def provider(
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.")] = 8080,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option("--seed", help="Of texts, faults and latencies.")] = 0,
    rpm: Annotated[float | None, typer.Option("--rpm", help="Requests/min, not each model's own.")] = None,
    tpm: Annotated[float | None, typer.Option("--tpm", help="Tokens/min, not each model's own.")] = None,
    concurrent: Annotated[int | None, typer.Option("--concurrent", help="Calls at once, not each model's own.")] = None,
    latency: Annotated[float, typer.Option("--latency", help="Mean seconds of a call.", min=0)] = 2.5,
    faults: Annotated[str, typer.Option("--faults", help="Shares of calls that fail: 500=0.02,timeout=0.02,…")] = "",
    token_counting: Annotated[str, typer.Option("--token-counting", help="actual or reserved.")] = "actual",  # noqa: S107
    audit: Annotated[Path | None, typer.Option("--audit", help="Append every call to this file.")] = None,
    log_format: LogFormat = None,
) -> None:
    """The simulated provider: try a recipe, a limit or a fleet on it before you pay.

    Example: genfleet provider --port 8080 --rpm 300 --faults 500=0.02,timeout=0.01
    """
    from console.provider.faults import parse_faults  # noqa: PLC0415  only this command needs it
    from console.provider.server import serve  # noqa: PLC0415
    from console.provider.settings import ProviderSettings  # noqa: PLC0415

    end_with_parent()
    if token_counting not in ("actual", "reserved"):
        raise UserError(f'token-counting: "{token_counting}" is neither actual nor reserved.')
    given = {"requests_per_minute": rpm, "tokens_per_minute": tpm, "concurrent_requests": concurrent}
    named = {name: value for name, value in given.items() if value is not None}
    try:
        limits = {name: Limits(**(one.limits.model_dump() | named)) for name, one in models().items()}
        wanted = ProviderSettings.like(
            models(),
            port=port,
            host=host,
            seed=seed,
            model_limits=limits,
            latency_seconds=latency,
            faults=parse_faults(faults) if faults else {},
            model_token_counting=dict.fromkeys(models(), token_counting),
            audit_path=audit,
        )
    except ValueError as error:
        raise UserError(str(error)) from None
    serve(wanted)


def broker(
    port: Annotated[int | None, typer.Option("--port", help="By default a free one.")] = None,
    folder: Annotated[Path | None, typer.Option("--folder", help="Where its data is kept.")] = None,
) -> None:
    """The embedded broker in the foreground, its data on disk.

    Example: genfleet broker --port 6379
    """
    serve_broker(folder or folders.broker(), port or free_port())
