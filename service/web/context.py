"""What surrounds every request: its id, security headers, a count and a duration, its line in the log, a limit on its body."""

import itertools
import re
import secrets
import time
from typing import Any

import structlog
from anyio import BrokenResourceError
from opentelemetry import trace
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import PayloadTooLarge
from service.infra.telemetry import REQUEST_ID
from service.web.answer_log import log_answer

_PROCESS_ID = secrets.token_hex(8)
_numbers = itertools.count(1)
SAFE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
REQUESTS = Counter("fitserve_http_requests", "Answered requests of the control plane.", ["method", "route", "status"])
CLIENT_GONE = 499
"""The status in log and metrics of a request whose client has left before its answer; nginx has the same."""
DURATION = Histogram("fitserve_http_request_seconds", "Time to answer a request of the control plane.", ["method", "route"])


def security_policy(**directives: str) -> str:
    """A Content-Security-Policy that allows nothing but what is named, e.g. ``script_src="'self'"``."""
    base: dict[str, Any] = {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    named = {name.replace("_", "-"): value for name, value in directives.items()}
    return "; ".join(f"{name} {value}" for name, value in (base | named).items())


NO_CONTENT = security_policy()
"""The policy of answers that are no pages, should a browser show one as such."""


def request_id_of(scope: Scope) -> str:
    """The id of a request: the client's ``X-Request-ID`` where it is plain, otherwise a new one."""
    state: dict[str, Any] = scope.setdefault("state", {})
    known: str | None = state.get("request_id")
    if known is None:
        known = state["request_id"] = _given_id(scope) or f"{_PROCESS_ID}{next(_numbers):08x}"
    return known


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and SAFE_REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return None


class RequestContext:
    """Gives every request an id, which the log lines and the answer carry, and measures it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        trace.get_current_span().set_attribute(REQUEST_ID, request_id)
        started = time.perf_counter()
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-Frame-Options"] = "DENY"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers.setdefault("Content-Security-Policy", NO_CONTENT)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if not _is_of_gone_client(error):
                raise
            status = status or CLIENT_GONE
        finally:
            status = status or 500
            # An unknown address has no route; its path would make a new time series for every mistake.
            route = getattr(scope.get("route"), "path", "unknown")
            REQUESTS.labels(scope["method"], route, status).inc()
            DURATION.labels(scope["method"], route).observe(time.perf_counter() - started)
            log_answer(scope, route, status, started)
            structlog.contextvars.unbind_contextvars("request_id")


def _is_of_gone_client(error: Exception) -> bool:
    """Whether an error says no more than that the client has left: in the middle of its body, or of an event stream."""
    if isinstance(error, ExceptionGroup):
        return all(map(_is_of_gone_client, error.exceptions))
    return isinstance(error, ClientDisconnect | BrokenResourceError)


class BodyLimit:
    """Stops reading a body that is over the limit; uploads to ``/api/datasets`` have a limit of their own."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, max_upload_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._max_upload_bytes if scope["path"] == "/api/datasets" else self._max_body_bytes
        declared = Headers(scope=scope).get("content-length", "")
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit or (declared.isdigit() and int(declared[:20]) > limit):
                raise PayloadTooLarge(f"The body is over the limit of {limit} bytes.")
            return message

        await self._app(scope, receive_within_limit, send)
