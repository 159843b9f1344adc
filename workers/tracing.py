"""Spans for OpenTelemetry: an example's admission, calls, checks and settlements, where somebody has set that up.

With the extra `genfleet[otel]` installed and OTEL_EXPORTER_OTLP_ENDPOINT set they are sent there by OTLP over HTTP; the
other variables of OpenTelemetry's SDK hold, such as OTEL_TRACES_SAMPLER. Without, nothing of it is imported.

Each example is a trace of its own, linked to the producer's span that enqueued it by a header of its message: as one
trace a job would be too large for whoever keeps them. No span holds a text: its attributes are those of `_KEYS`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

from config.logs import log
from config.settings import settings

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, Tracer

HEADER = "traceparent"
"""Of a task's message, as W3C Trace Context writes it."""
_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])", re.ASCII)

_KEYS = {
    "job": "genfleet.job",
    "unit": "genfleet.unit",
    "recipe": "genfleet.recipe",
    "attempt": "genfleet.attempt",
    "outcome": "genfleet.outcome",
    "reason": "genfleet.reason",
    "cost_usd": "genfleet.cost_usd",
    "model": "gen_ai.request.model",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "count": "messaging.batch.message_count",
    "error": "error.type",
}

Kind = Literal["INTERNAL", "CLIENT", "PRODUCER", "CONSUMER"]

_received: ContextVar[str | None] = ContextVar("received", default=None)
_lock = threading.Lock()


class Open(Protocol):
    """A span that has begun."""

    def set(self, **attributes: Any) -> None:
        """Gives it attributes, by the names in `_KEYS`; those that are None are left out."""


class _Nothing:
    """In the place of a span where nobody looks."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, **attributes: Any) -> None:
        """Nobody looks."""


class _Open:
    def __init__(self, span: Span) -> None:
        self._span = span

    def set(self, **attributes: Any) -> None:
        self._span.set_attributes(_named(attributes))


_NOTHING = _Nothing()


def is_trace(header: object) -> bool:
    """Whether this may stand in a message as HEADER."""
    return isinstance(header, str) and _FORM.fullmatch(header) is not None


def span(name: str, kind: Kind = "INTERNAL", **attributes: Any) -> Any:
    """A span around a block, within the one that is open here; gives `Open`."""
    tracer = _tracer()
    return _NOTHING if tracer is None else _opened(tracer, name, kind, attributes)


def example(job: str, unit: int) -> Any:
    """The span of an example, the first of a trace, linked to the producer's whose message came here."""
    tracer = _tracer()
    if tracer is None:
        return _NOTHING
    return _opened(tracer, "example", "CONSUMER", {"job": job, "unit": unit}, first=True)


def headers() -> dict[str, str] | None:
    """What a message carries to be linked to the span that is open here; None where nobody looks."""
    if _tracer() is None:
        return None
    from opentelemetry.trace import get_current_span  # noqa: PLC0415  only where it is installed

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return {HEADER: f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"}


@contextmanager
def received() -> Iterator[None]:
    """Around the work of a Celery task: what its message carries is heeded by `example`."""
    if _tracer() is None:
        yield
        return
    from celery import current_task  # noqa: PLC0415  only where somebody looks

    token = _received.set(current_task.request.get(HEADER) if current_task else None)
    try:
        yield
    finally:
        _received.reset(token)


@contextmanager
def _opened(
    tracer: Tracer, name: str, kind: Kind, attributes: dict[str, Any], *, first: bool = False
) -> Iterator[Open]:
    from opentelemetry.context import Context  # noqa: PLC0415  only where it is installed
    from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

    with tracer.start_as_current_span(
        name,
        context=Context() if first else None,
        kind=SpanKind[kind],
        attributes=_named(attributes),
        links=_links() if first else (),
        # Their texts may quote anything.
        record_exception=False,
        set_status_on_exception=False,
    ) as begun:
        try:
            yield _Open(begun)
        except BaseException as error:
            begun.set_attributes(_named({"error": type(error).__name__}))
            begun.set_status(Status(StatusCode.ERROR))
            raise


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {_KEYS[name]: value for name, value in attributes.items() if value is not None}


def _links() -> list[Link]:
    from opentelemetry.trace import Link, SpanContext, TraceFlags  # noqa: PLC0415  only where it is installed

    found = _FORM.fullmatch(_received.get() or "")
    if found is None:
        return []
    trace, parent, flags = (int(part, 16) for part in found.groups())
    return [Link(SpanContext(trace, parent, is_remote=True, trace_flags=TraceFlags(flags)))]


def _tracer() -> Tracer | None:
    with _lock:
        return _made(settings().otel_endpoint, settings().otel_service)


@lru_cache(maxsize=1)
def _made(endpoint: str | None, service: str) -> Tracer | None:
    """This process's way to the collector at `endpoint`; what is left to send is sent when the process ends."""
    if endpoint is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        log("traces_missing")
        return None
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
    return provider.get_tracer("genfleet")
