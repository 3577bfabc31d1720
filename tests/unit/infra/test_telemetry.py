"""Whether traces are sent, as the standard variables say."""

import os

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from structlog.testing import capture_logs

from service.infra import telemetry
from service.infra.telemetry import SERVICE_VARIABLE, add_trace_id, are_traces_sent, are_traces_wanted, prepare_traces

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment, without any variable of OpenTelemetry; changes are undone."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    monkeypatch.setattr(os, "environ", environ)
    return environ


def test_traces_are_off_by_default(environ: dict[str, str]) -> None:
    assert not are_traces_wanted()
    assert SERVICE_VARIABLE not in environ


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_an_address_of_a_collector_switches_them_on(environ: dict[str, str], name: str) -> None:
    environ[name] = "http://127.0.0.1:4318"
    assert are_traces_sent()


@pytest.mark.parametrize(
    "more",
    [
        {"OTEL_SDK_DISABLED": "True"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
    ],
)
def test_they_can_be_switched_off_all_the_same(environ: dict[str, str], more: dict[str, str]) -> None:
    environ.update(ENDPOINT | more)
    assert not are_traces_wanted()


def test_the_service_has_a_name_of_its_own_unless_it_was_given_one(environ: dict[str, str]) -> None:
    environ.update(ENDPOINT | {"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine"})
    prepare_traces()
    assert SERVICE_VARIABLE not in environ
    del environ["OTEL_RESOURCE_ATTRIBUTES"]
    prepare_traces()
    assert environ[SERVICE_VARIABLE] == "fitserve"


def test_where_nothing_can_send_them_the_log_says_what_to_install(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ.update(ENDPOINT)
    monkeypatch.setattr(telemetry, "EXPORTER_MODULE", "opentelemetry.not_installed")
    with capture_logs() as lines:
        prepare_traces()
    assert not are_traces_sent()
    assert [line["event"] for line in lines] == ["telemetry.not_installed"]
    assert "fitserve[telemetry]" in lines[0]["fix"]


def test_a_line_has_the_id_of_the_trace_in_which_it_is_written() -> None:
    span = NonRecordingSpan(SpanContext(trace_id=0xABC, span_id=1, is_remote=False, trace_flags=TraceFlags(1)))
    with trace.use_span(span):
        assert add_trace_id(None, "info", {"event": "x"}) == {"event": "x", "trace_id": f"{0xABC:032x}"}
    assert add_trace_id(None, "info", {"event": "x"}) == {"event": "x"}
