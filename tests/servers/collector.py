"""A collector of traces: takes OTLP over HTTP as the real ones do, and keeps what it is sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Traced(NamedTuple):
    """A span as it arrived."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    links: tuple[str, ...]  # the spans' ids
    facts: dict[str, Any]
    failed: bool
    seconds: float

    @property
    def called(self) -> tuple[str, str]:
        return self.service, self.name


@dataclass
class Collector:
    """The spans so far. Without `answer` it says what a collector in trouble does."""

    url: str = ""
    answer: int = 200
    spans: list[Traced] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _read(each.resource.attributes)
            assert resource["service.namespace"] == "archloop"
            for scope in each.scope_spans:
                self.spans += [_traced(resource["service.name"], span) for span in scope.spans]

    def of(self, trace_id: str) -> list[Traced]:
        return [span for span in self.spans if span.trace_id == trace_id]


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            if collector.answer == 200:
                collector.take(body)
            self.send_response(collector.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


def _traced(service: str, span: Any) -> Traced:
    seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    links = tuple(link.span_id.hex() for link in span.links)
    return Traced(service, span.name, *ids, links, _read(span.attributes), span.status.code == 2, seconds)


def _read(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
