"""Traces and log lines of a real API: spans arrive at a collector, and ids find the lines of a request."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.acceptance.running import running_api, wait_until

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACED = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}


class Collector:
    """What an OpenTelemetry collector is to its clients: it takes OTLP over HTTP at ``/v1/traces``."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.paths.add(self.path)
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def services(self) -> set[str]:
        """The names of the services that have sent something."""
        resources = [part.resource for request in self.requests for part in request.resource_spans]
        return {entry.value.string_value for it in resources for entry in it.attributes if entry.key == "service.name"}

    def spans(self) -> dict[str, Any]:
        """Every span that has arrived, by name."""
        parts = [part for request in self.requests for part in request.resource_spans]
        return {span.name: span for part in parts for scope in part.scope_spans for span in scope.spans}

    def serve(self) -> None:
        """Answer until ``close``."""
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.serve)
    thread.start()
    yield collector
    collector.close()
    thread.join()


@contextmanager
def api_with_log(folder: Path, **settings: str) -> Iterator[tuple[Any, Path]]:
    """A client of an API that writes its log as JSON, and the file."""
    log = folder / "log"
    with running_api(folder / "data", settings | {"FITSERVE_LOG_FORMAT": "json"}, log) as (http, _):
        yield http, log


def lines_of(log: Path, **fields: str) -> list[dict[str, Any]]:
    """The lines of a log that have these fields."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if fields.items() <= line.items()]


def attributes_of(span: Any) -> dict[str, Any]:
    return {entry.key: entry.value.string_value or entry.value.int_value for entry in span.attributes}


def test_spans_reach_a_collector_and_lead_to_the_lines_of_the_log(collector: Collector, tmp_path: Path) -> None:
    with api_with_log(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **SOON) as (http, log):
        listed = http.get("/api/models", headers=TRACED)
        refused = http.get("/v1/models/unknown", headers=TRACED)
        expected = {"GET /api/models", "GET /v1/models/{name}"}
        wait_until(lambda: expected <= set(collector.spans()), 20, f"spans {expected}")
    assert collector.paths == {"/v1/traces"}
    assert collector.services() == {"fitserve"}
    for name, answer in zip(sorted(expected), (listed, refused), strict=True):
        span, request_id = collector.spans()[name], answer.headers["x-request-id"]
        assert span.trace_id.hex() == TRACE_ID
        assert attributes_of(span)["fitserve.request_id"] == request_id
        (line,) = lines_of(log, event="request.answered", request_id=request_id)
        assert (line["trace_id"], line["status"], line["method"]) == (TRACE_ID, answer.status_code, "GET")


def test_what_was_traced_last_is_sent_before_the_api_ends(collector: Collector, tmp_path: Path) -> None:
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with api_with_log(tmp_path, OTEL_SERVICE_NAME="mine", **settings) as (http, _):
        http.get("/api/models")
        assert collector.requests == []
    assert "GET /api/models" in collector.spans()
    assert collector.services() == {"mine"}


def test_a_collector_that_is_away_disturbs_nobody(tmp_path: Path) -> None:
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with api_with_log(tmp_path, **away, **SOON) as (http, log):
        for _ in range(20):
            assert http.get("/api/models").is_success
    assert lines_of(log, event="request.failed") == []


def test_without_a_collector_there_are_no_traces_and_a_request_id_finds_its_line(tmp_path: Path) -> None:
    with api_with_log(tmp_path) as (http, log):
        http.get("/api/models/unknown", headers={"X-Request-ID": "looked-for"} | TRACED)
        http.get("/livez", headers={"X-Request-ID": "a-probe"})
    (line,) = lines_of(log, request_id="looked-for")
    assert (line["event"], line["route"], line["path"]) == ("request.answered", "/api/models/{name}", "/api/models/unknown")
    assert "trace_id" not in line
    assert lines_of(log, request_id="a-probe") == []
