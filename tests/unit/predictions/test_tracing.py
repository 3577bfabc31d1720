"""Spans of predictions, kept in memory by OpenTelemetry's own exporter."""

from collections.abc import AsyncIterator

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from service.predictions.app import PredictionApp
from service.predictions.tracing import TracedPredictions
from tests.fakes.versions import FakeVersions

pytestmark = pytest.mark.anyio
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def traced(app: PredictionApp, exported: InMemorySpanExporter) -> AsyncIterator[httpx.AsyncClient]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    transport = httpx.ASGITransport(TracedPredictions(app, provider))
    async with httpx.AsyncClient(transport=transport, base_url="http://fitserve.test") as client:
        yield client
    provider.shutdown()


def only_span(exported: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exported.get_finished_spans()
    return span


async def test_a_prediction_is_one_span_that_names_the_version(
    traced: httpx.AsyncClient, exported: InMemorySpanExporter, versions: FakeVersions
) -> None:
    versions.publish()
    versions.publish()

    answer = await traced.post("/api/models/my_model:predict", json={"rows": [[0, 0]]}, headers={"X-Request-ID": "mine"})

    span = only_span(exported)
    assert answer.status_code == 200
    assert (span.name, span.kind, span.parent) == ("POST /api/models/{name}:predict", SpanKind.SERVER, None)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/models/{name}:predict",
        "http.response.status_code": 200,
        "url.path": "/api/models/my_model:predict",
        "url.scheme": "http",
        "fitserve.request_id": "mine",
        "fitserve.model": "my_model",
        "fitserve.version": 2,
    }


async def test_the_trace_of_the_client_goes_on(
    traced: httpx.AsyncClient, exported: InMemorySpanExporter, versions: FakeVersions
) -> None:
    versions.publish()
    await traced.post(
        "/v1/models/my_model:predict",
        json={"instances": [[0, 0]]},
        headers={"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"},
    )

    span = only_span(exported)
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE_ID, SPAN_ID)


async def test_a_trace_that_the_client_does_not_sample_is_not_sent(
    traced: httpx.AsyncClient, exported: InMemorySpanExporter, versions: FakeVersions
) -> None:
    versions.publish()
    await traced.get("/v1/models/my_model", headers={"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"})
    assert exported.get_finished_spans() == ()


@pytest.mark.parametrize("value", ["", "nonsense", f"00-{'0' * 32}-{SPAN_ID}-01", f"00-{TRACE_ID}"])
async def test_a_broken_traceparent_begins_a_new_trace(
    traced: httpx.AsyncClient, exported: InMemorySpanExporter, value: str
) -> None:
    answer = await traced.get("/v1/models/unknown", headers={"traceparent": value})
    assert answer.status_code == 404
    assert only_span(exported).parent is None


async def test_a_prediction_that_finds_no_version_names_none(traced: httpx.AsyncClient, exported: InMemorySpanExporter) -> None:
    await traced.post("/v1/models/unknown/versions/3:predict", json={"instances": [[0, 0]]})
    attributes = only_span(exported).attributes or {}
    assert attributes["http.route"] == "/v1/models/{name}/versions/{version}:predict"
    assert attributes["http.response.status_code"] == 404
    assert not {"fitserve.model", "fitserve.version", "error.type"} & set(attributes)


async def test_an_unknown_path_has_no_route(traced: httpx.AsyncClient, exported: InMemorySpanExporter) -> None:
    await traced.get("/v1/no/such/path")
    assert only_span(exported).name == "GET"
    assert "http.route" not in (only_span(exported).attributes or {})


async def test_a_failure_of_the_service_is_an_error_of_the_span(
    traced: httpx.AsyncClient, exported: InMemorySpanExporter, versions: FakeVersions
) -> None:
    versions.is_away = True
    await traced.post("/api/models/my_model:predict", json={"rows": [[0, 0]]})
    span = only_span(exported)
    assert (span.attributes or {})["error.type"] == "503"
    assert not span.status.is_ok
