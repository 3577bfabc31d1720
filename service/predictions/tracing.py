"""A span for every prediction request, around the application that answers it. Nobody pays for it who does not ask for it."""

import re
from collections.abc import Sequence

from opentelemetry import propagate, trace
from starlette.types import Message, Receive, Scope, Send

import service
from service.infra.telemetry import REQUEST_ID
from service.predictions.app import PredictionApp
from service.predictions.engines import Servable
from service.web.context import request_id_of

PROPAGATED = (b"traceparent", b"tracestate", b"baggage")


class TracedPredictions:
    """The prediction application with a span around each request, in the trace that the client's ``traceparent`` names.

    Attributes are those of OpenTelemetry's semantic conventions for HTTP servers, and the version that has answered.
    """

    def __init__(self, app: PredictionApp, tracer_provider: trace.TracerProvider | None = None) -> None:
        """``tracer_provider``: where spans go, if not to the global one, which may be set later."""
        self._app = app
        self._routes = [(method, template, _pattern(template)) for method, template in app.routes]
        self._tracer = trace.get_tracer("fitserve.predictions", service.__version__, tracer_provider)

    def handles(self, path: str) -> bool:
        """Whether the application answers the path."""
        return self._app.handles(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request within a span."""
        method, route = scope["method"], self._route_of(scope["method"], scope["path"])
        with self._tracer.start_as_current_span(
            f"{method} {route}" if route else method,
            context=propagate.extract(_propagated(scope["headers"])),
            kind=trace.SpanKind.SERVER,
            attributes=_attributes(scope, route),
        ) as span:
            await self._app(scope, receive, _noting_status(span, send))
            span.set_attributes(_answered_by(scope["state"].get("servable")))

    def _route_of(self, method: str, path: str) -> str:
        return next((route for verb, route, pattern in self._routes if verb == method and pattern.fullmatch(path)), "")


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/:]+", re.escape(template)))


def _propagated(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in headers if name in PROPAGATED}


def _attributes(scope: Scope, route: str) -> dict[str, str]:
    known = {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        REQUEST_ID: request_id_of(scope),
    }
    return known | {"http.route": route} if route else known


def _answered_by(servable: Servable | None) -> dict[str, str | int]:
    if servable is None:
        return {}
    return {"fitserve.model": servable.version.model, "fitserve.version": servable.version.number}


def _noting_status(span: trace.Span, send: Send) -> Send:
    async def send_noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                span.set_attribute("error.type", str(message["status"]))
                span.set_status(trace.StatusCode.ERROR)
        await send(message)

    return send_noting
