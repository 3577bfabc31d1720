"""Spans of the control plane, by FastAPI's own support."""

from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry

from service.main import Application, create_app
from service.predictions.metrics import PredictionMetrics
from service.settings import Settings


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def app(settings: Settings, exported: InMemorySpanExporter) -> Iterator[Application]:
    """The API with spans that stay in memory."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    quiet = settings.model_copy(update={"sweep_seconds": 3600.0})
    yield create_app(quiet, PredictionMetrics(CollectorRegistry()), provider)
    provider.shutdown()


def test_a_request_is_a_span_with_its_id_and_what_happened_within(http: httpx.Client, exported: InMemorySpanExporter) -> None:
    answer = http.get("/api/models/unknown", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    assert answer.status_code == 404
    spans = exported.get_finished_spans()
    (request,) = [span for span in spans if span.kind is SpanKind.SERVER]
    attributes = request.attributes or {}
    assert request.name == "GET /api/models/{name}"
    assert attributes["http.route"] == "/api/models/{name}"
    assert attributes["http.response.status_code"] == 404
    assert attributes["fitserve.request_id"] == answer.headers["x-request-id"]
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {"a" * 32}
    assert "fastapi.endpoint" in {span.name for span in spans}


def test_a_prediction_is_one_span(http: httpx.Client, exported: InMemorySpanExporter) -> None:
    answer = http.get("/v1/models/unknown")
    (span,) = exported.get_finished_spans()
    assert span.name == "GET /v1/models/{name}"
    assert (span.attributes or {})["fitserve.request_id"] == answer.headers["x-request-id"]


def test_probes_leave_no_span(http: httpx.Client, exported: InMemorySpanExporter) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert http.get(path).is_success
    assert exported.get_finished_spans() == ()
