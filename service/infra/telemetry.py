"""Traces by OpenTelemetry: whether they are sent, and to which trace a log line belongs.

The standard ``OTEL_*`` variables decide; FastAPI reads the same ones when it sets the exporter up.
"""

import os
from collections.abc import MutableMapping
from importlib.util import find_spec
from typing import Any

import structlog
from opentelemetry import trace

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

SERVICE_VARIABLE = "OTEL_SERVICE_NAME"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORTER_MODULE = "opentelemetry.exporter"
"""Comes with the extra ``telemetry``."""
REQUEST_ID = "fitserve.request_id"
"""The attribute of a span that holds the id of its request."""


def are_traces_wanted() -> bool:
    """Whether the environment names a collector and does not switch traces off."""
    is_off = _says("OTEL_SDK_DISABLED", "true") or _says("OTEL_TRACES_EXPORTER", "none")
    return not is_off and any(os.environ.get(name) for name in ENDPOINTS)


def _says(variable: str, value: str) -> bool:
    return os.environ.get(variable, "").strip().lower() == value


def are_traces_sent() -> bool:
    """Whether they are wanted, and what sends them is installed."""
    return are_traces_wanted() and find_spec(EXPORTER_MODULE) is not None


def prepare_traces() -> None:
    """Give the traces of this process a name, unless the environment has one; say so where they cannot be sent."""
    if not are_traces_wanted():
        return
    if not are_traces_sent():
        log.warning("telemetry.not_installed", fix="pip install 'fitserve[telemetry]', or unset OTEL_EXPORTER_OTLP_ENDPOINT")
    if "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        os.environ.setdefault(SERVICE_VARIABLE, "fitserve")


def add_trace_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give a log line the id of the trace in which it is written, if there is one; a processor of structlog."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event
