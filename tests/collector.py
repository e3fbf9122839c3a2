"""An OTLP/HTTP collector for tests: keeps the spans that it is sent, as a test reads them."""

import gzip
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Collected:
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: list[str]
    events: list[str]
    status: int
    start_ms: float
    end_ms: float
    service: str


@dataclass
class Collector:
    """`spans` in the order of their start."""

    url: str = ""
    received: list[Collected] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def spans(self) -> list[Collected]:
        return sorted(self.received, key=lambda span: span.start_ms)

    def named(self, name: str) -> list[Collected]:
        return [span for span in self.spans if span.name == name]

    def start(self) -> "Collector":
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.received.extend))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        return self

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


def _handler(keep: Callable[[list[Collected]], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            keep(_spans(ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None: ...

    return Handler


def _spans(request: ExportTraceServiceRequest) -> list[Collected]:
    return [
        _span(span, next(a.value.string_value for a in sent.resource.attributes if a.key == "service.name"))
        for sent in request.resource_spans
        for scope in sent.scope_spans
        for span in scope.spans
    ]


def _span(span: Span, service: str) -> Collected:
    return Collected(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        {a.key: getattr(a.value, str(a.value.WhichOneof("value"))) for a in span.attributes},
        [link.span_id.hex() for link in span.links],
        [event.name for event in span.events],
        span.status.code,
        span.start_time_unix_nano / 1e6,
        span.end_time_unix_nano / 1e6,
        service,
    )
