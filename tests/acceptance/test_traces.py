"""OpenTelemetry: every example is a trace, linked from the producer through the message to the worker."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fleet_bench import MODEL, Fleet

trace_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs genfleet[otel]"
)

COUNT = 20
#: What the simulated provider answers, and the recipe asks.
TEXTS = ("Perché", "Numero", "domanda")


class Collector:
    """Takes OTLP over HTTP on a free port, as a collector of OpenTelemetry does."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self._lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                collector.take(trace_service.ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name there
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request: Any) -> None:
        """Keeps the spans of a request."""
        with self._lock:
            for resource in request.resource_spans:
                self.services |= {
                    one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
                }
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, name="collector")
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    """A span's attributes as plain values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_an_example_is_one_trace_from_producer_to_settlement(fleet: Fleet, collector: Collector) -> None:
    """Under each example's span stand its admissions, calls, checks and settlements; it links to who enqueued it."""
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "test-fleet"}
    fleet.provide(faults={"500": 0.2})
    worker = fleet.worker(1, 10, **traced)
    done = fleet.genfleet("submit", "small", "--count", str(COUNT), **traced)
    job = done.out.strip()
    status = fleet.until_state(job, "complete")
    # What is left to send is sent at the end.
    assert worker.end().code == 0
    by_name = defaultdict(list)
    for span in collector.spans:
        by_name[span.name].append(span)
    assert collector.services == {"test-fleet"}
    assert {name: len(spans) for name, spans in by_name.items()} == {
        "enqueue": 1,
        "example": COUNT,
        "admit": status.attempts,
        "call": status.attempts,
        "check": status.attempts,
        "settle": status.attempts,
    }
    (enqueue,) = by_name["enqueue"]
    assert attributes(enqueue)["messaging.batch.message_count"] == COUNT
    examples = {span.span_id: span for span in by_name["example"]}
    assert {attributes(span)["genfleet.unit"] for span in examples.values()} == set(range(COUNT))
    for span in examples.values():
        (link,) = span.links
        assert (link.trace_id, link.span_id) == (enqueue.trace_id, enqueue.span_id)
        assert not span.parent_span_id
        assert attributes(span)["genfleet.job"] == job
    for name in ("admit", "call", "check", "settle"):
        assert all(examples[span.parent_span_id].trace_id == span.trace_id for span in by_name[name])
    again = [span for span in by_name["settle"] if attributes(span)["genfleet.outcome"] == "again"]
    assert len(again) == status.attempts - COUNT
    tokens = [attributes(span).get("gen_ai.usage.output_tokens", 0) for span in by_name["call"]]
    assert sum(tokens) == status.completion_tokens
    assert {attributes(span)["gen_ai.request.model"] for span in by_name["call"]} == {MODEL}
    # No text of a prompt, of an answer or of an error is in a span.
    everything = "".join(str(span) for span in collector.spans)
    assert not [text for text in (*TEXTS, "sk-or-test") if text in everything]
    assert not any(span.events or span.status.message for span in collector.spans)


def test_without_an_endpoint_a_message_carries_nothing_more(fleet: Fleet, collector: Collector) -> None:
    """Not asked for, there is no header, and what would send spans is not even imported."""
    job = fleet.submit("small", "--count", "3")
    (message, *_) = fleet.redis.lrange(f"generate.{MODEL}:{job}", 0, -1)
    assert b"traceparent" not in message
    code = (
        "import sys; import workers.runtime; from workers import tracing;"
        "assert tracing.headers() is None; tracing.example('job', 1).__enter__().set(outcome='x');"
        "sys.exit(any(name.startswith('opentelemetry.exporter') for name in sys.modules))"
    )
    done = fleet.python(["-c", code], "imports").wait()
    assert done.code == 0, done.err
    assert collector.spans == []


def test_a_worker_without_traces_takes_messages_that_carry_them(fleet: Fleet, collector: Collector) -> None:
    """The producer may trace and the workers not, and where the collector is away the work goes on."""
    fleet.worker(1, 10)
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    job = fleet.genfleet("submit", "small", "--count", "5", **away).out.strip()
    assert fleet.until_state(job, "complete").accepted == 5
    assert collector.spans == []
