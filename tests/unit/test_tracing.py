"""Traces: what a message may carry of them, and what a span holds."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fuzz.message import QUEUE, good, raw

from workers import tracing
from workers.messages import Malformed, read_task
from workers.tracing import HEADER, headers, is_trace, span

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def with_trace(value: Any) -> bytes:
    """A task's message that carries this as its trace."""
    message = good()
    message["headers"][HEADER] = value
    return raw(message)


@pytest.mark.parametrize("trace", [TRACE, TRACE[:-1] + "0", None])
def test_a_message_may_carry_a_trace(trace: str | None) -> None:
    """A task's message is taken with a trace, as W3C Trace Context writes it, as without."""
    assert read_task(with_trace(trace), QUEUE)["headers"][HEADER] == trace


@pytest.mark.parametrize(
    "wrong", ["", "x", TRACE.upper(), f"{TRACE}\n", f"{TRACE}-more", "01" + TRACE[2:], 7, [TRACE], {"a": TRACE}]
)
def test_nothing_else_is_carried_as_one(wrong: Any) -> None:
    """Whatever is not of that form is refused with its message, before anything reads it."""
    assert not is_trace(wrong)
    with pytest.raises(Malformed, match="trace"):
        read_task(with_trace(wrong), QUEUE)


def test_nobody_looks(clean: pytest.MonkeyPatch) -> None:
    """Without an endpoint every span is one and the same nothing, and there are no headers."""
    assert span("admit") is span("call", job="x") is tracing.example("job", 1)
    with span("admit") as one:
        one.set(outcome="accepted")
    assert headers() is None
    with tracing.received():
        assert headers() is None


def test_an_endpoint_without_the_extra_is_said(clean: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where traces are asked for and OpenTelemetry is not installed, one line says what to do, once."""
    clean.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    clean.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    tracing._made.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with span("admit"):
                assert headers() is None
    tracing._made.cache_clear()
    (said,) = [record.getMessage() for record in caplog.records]
    assert "install genfleet[otel]" in said


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes spans end in memory, and gives those that have ended."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="needs genfleet[otel]")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), sdk.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", lambda: provider.get_tracer("test"))
    yield exporter.get_finished_spans
    provider.shutdown()


def test_an_error_is_told_by_its_type(finished: Any) -> None:
    """A span in which something broke is marked so, without the error's text."""
    with pytest.raises(ValueError, match="secret"), span("call", "CLIENT", job="j", attempt=1, reason=None):
        int("secret")
    (one,) = finished()
    assert one.attributes == {"genfleet.job": "j", "genfleet.attempt": 1, "error.type": "ValueError"}
    assert (one.status.is_ok, one.status.description, one.events) == (False, None, ())


def test_an_example_is_linked_to_what_its_message_carried(finished: Any) -> None:
    """Its span begins a trace of its own, and links to the one whose header came, if there is one."""
    with span("enqueue", "PRODUCER"):
        (header,) = (headers() or {}).values()
        assert is_trace(header)
        token = tracing._received.set(header)
        with tracing.example("j", 3):
            pass
        tracing._received.reset(token)
        with tracing.example("j", 4):
            pass
    linked, alone, enqueue = finished()
    assert linked.parent is None
    assert linked.context.trace_id != enqueue.context.trace_id
    assert [link.context.span_id for link in linked.links] == [enqueue.context.span_id]
    assert alone.links == ()


def test_a_span_has_no_attribute_for_texts(finished: Any) -> None:
    """Only the attributes that are listed can be set, so that no prompt or answer gets there by a slip."""
    with pytest.raises(KeyError), span("call") as one:
        one.set(prompt="Scrivi")
    assert not {"prompt", "answer", "text", "messages"} & tracing._KEYS.keys()
