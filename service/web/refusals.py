"""Refusals of requests that nothing has looked at yet, in the form that errors have at their address."""

import time
from collections.abc import Mapping

import orjson
from starlette.types import Scope, Send

from service.web.answer_log import UNDER_LOAD, log_answer
from service.web.context import request_id_of
from service.web.problems import MEDIA_TYPE, problem_body

PREDICTION_PROTOCOLS = ("/v1", "/v2")
"""Where errors have a form of their own."""


def refusal_of(path: str, status: int, detail: str, request_id: str) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a refusal."""
    if path.startswith(PREDICTION_PROTOCOLS):
        media_type, body = "application/json", orjson.dumps({"error": detail})
    else:
        media_type, body = MEDIA_TYPE, problem_body(status, detail, path, request_id)
    headers = {
        "content-type": media_type,
        "content-length": str(len(body)),
        "x-request-id": request_id,
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    return headers, body


async def refuse(scope: Scope, send: Send, status: int, detail: str, more_headers: Mapping[str, str] | None = None) -> None:
    """Answer a request with a refusal; a line in the log tells of it, unless it is one of too much load."""
    started = time.perf_counter()
    headers, body = refusal_of(scope["path"], status, detail, request_id_of(scope))
    lines = [(name.lower().encode(), value.encode()) for name, value in (headers | dict(more_headers or {})).items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
    if status not in UNDER_LOAD:
        log_answer(scope, "unknown", status, started)
