"""Errors as problem+json (RFC 9457): the only place that knows which kind of error is which HTTP status."""

import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from service import errors
from service.infra.logging import get_logger
from service.spec.base import suggest
from service.web.context import request_id_of

log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
MAX_PROBLEMS = 20
MAX_RECEIVED = 100
MAX_INSTANCE = 255
"""No address of this service is longer; what is, is told as shortly as anything else that was received."""
STATUS_BY_KIND: dict[type[errors.FitserveError], int] = {
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.InvalidInput: 422,
    errors.MalformedInput: 400,
    errors.UnsupportedMediaType: 415,
    errors.PayloadTooLarge: 413,
    errors.TooManyRequests: 429,
    errors.RangeNotSatisfiable: 416,
    errors.Unavailable: 503,
    errors.DeadlineExceeded: 504,
}

# http.HTTPStatus has other words for these in newer Pythons, and clients rely on `type`.
TITLES = {413: "Content Too Large", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}


def status_of(error: errors.FitserveError) -> int:
    """The HTTP status of an error's kind."""
    return next((status for kind, status in STATUS_BY_KIND.items() if isinstance(error, kind)), 500)


def headers_for(error: errors.FitserveError) -> dict[str, str]:
    """The headers that belong to an error's kind: when to come back, how to say who asks, or how long the file is."""
    if isinstance(error, errors.Unavailable | errors.TooManyRequests):
        return {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, errors.RangeNotSatisfiable):
        return {"Content-Range": f"bytes */{error.size_bytes}"}
    return {"WWW-Authenticate": 'Bearer realm="fitserve"'} if isinstance(error, errors.Unauthenticated) else {}


def problem_answer_to(request: Request, error: errors.FitserveError) -> Response:
    """The answer to a request that ends with this error."""
    problems = error.problems if isinstance(error, errors.InvalidInput) else []
    status = status_of(error)
    body = problem_body(status, error.message, request.url.path, request_id_of(request.scope), problems)
    return Response(body, status, headers_for(error), media_type=MEDIA_TYPE)


def problem_body(status: int, detail: str, instance: str, request_id: str, problems: Sequence[errors.Problem] = ()) -> bytes:
    """A problem document: `{type, title, status, detail, instance, request_id, errors: [{pointer, message, …}]}`."""
    title = TITLES.get(status) or HTTPStatus(status).phrase
    return orjson.dumps(
        {
            "type": f"urn:fitserve:problem:{title.lower().replace(' ', '-')}",
            "title": title,
            "status": status,
            "detail": detail,
            "instance": instance if len(instance) <= MAX_INSTANCE else f"{instance[:MAX_RECEIVED]}…",
            "request_id": request_id,
            "errors": [_problem_entry(problem) for problem in problems[:MAX_PROBLEMS]],
        }
    )


def _problem_entry(problem: errors.Problem) -> dict[str, str | None]:
    return {
        "pointer": problem.pointer,
        "message": problem.message,
        "received": problem.received,
        "expected": problem.expected,
        "fix": problem.fix,
    }


def show(value: Any) -> str:
    """A short picture of what was received, never the whole of it."""
    if isinstance(value, dict):
        return f"an object with {len(value)} key(s)"
    if isinstance(value, list):
        return f"a list of {len(value)} item(s)"
    text = repr(value) if not isinstance(value, bool | None) else {True: "true", False: "false", None: "null"}[value]
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_RECEIVED else f"{text[:MAX_RECEIVED]}…"


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error of this application as a problem document."""

    def answer(
        request: Request,
        status: int,
        detail: str,
        problems: Sequence[errors.Problem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        body = problem_body(status, detail, request.scope["path"], request_id_of(request.scope), problems)
        return Response(body, status, headers, media_type=MEDIA_TYPE)

    @app.exception_handler(errors.FitserveError)
    def on_error(request: Request, error: errors.FitserveError) -> Response:
        let_go(error)
        return problem_answer_to(request, error)

    @app.exception_handler(RequestValidationError)
    def on_validation_error(request: Request, error: RequestValidationError) -> Response:
        let_go(error)
        count = len(error.errors())
        more = f" The first {MAX_PROBLEMS} are listed." if count > MAX_PROBLEMS else ""
        return answer(request, 422, f"The request has {count} mistake(s).{more}", problems_of(error))

    @app.exception_handler(HTTPException)
    def on_http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            headers = {"Allow": ", ".join(_methods_of(request))}
            return answer(request, 405, f"This address does not take {request.method}.", headers=headers)
        detail = "There is nothing at this address." if error.status_code == 404 else str(error.detail)
        return answer(request, error.status_code, detail, headers=error.headers)

    @app.exception_handler(Exception)
    def on_unexpected_error(request: Request, error: Exception) -> Response:
        log.error("request.failed", path=request.scope["path"], trace="".join(traceback.format_exception(error)))
        return answer(request, 500, "Something went wrong here, not in the request. The request id finds it in the log.")


def _methods_of(request: Request) -> list[str]:
    """The methods that an address takes; the router's own list has those of the first of its operations alone."""

    def takes(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in METHODS if takes(method)]


def let_go(error: Exception) -> None:
    """Forget where an error comes from: those frames hold the whole body, up to the next collection of cycles, which is rare."""
    error.__traceback__ = error.__cause__ = error.__context__ = None


def problems_of(error: RequestValidationError) -> list[errors.Problem]:
    """What is wrong with a request, with pointers into the client's document; at most 20 entries."""
    return [_from_pydantic(entry, error.body) for entry in error.errors()[:MAX_PROBLEMS]]


def _from_pydantic(entry: Mapping[str, Any], body: Any) -> errors.Problem:
    source, *path = entry["loc"]
    kind = entry["type"]
    context = entry.get("ctx", {})
    pointer = _pointer(path, body, kind) if source == "body" else _parameter_pointer(source, path)
    received = None if kind in ("missing", "extra_forbidden") else show(_received(entry))
    expected = fix = None
    if kind == "union_tag_invalid":
        expected = f"one of {context['expected_tags']}"
        fix = suggest(str(context["tag"])[:80], [tag.strip("' ") for tag in context["expected_tags"].split(",")])
        return errors.Problem(f"{pointer}/type", f"Unknown type '{str(context['tag'])[:80]}'.", received, expected, fix)
    if kind == "union_tag_not_found":
        return errors.Problem(f"{pointer}/type", _MESSAGES["missing"], None, "the name of a class", "Add 'type'.")
    if kind == "extra_forbidden":
        fix = "Leave it out, or correct its spelling."
    message = str(entry["msg"])
    if message.startswith("Input should be "):
        expected = message.removeprefix("Input should be ")
    return errors.Problem(pointer, _MESSAGES.get(kind, message), received, expected, fix)


_MESSAGES = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "model_attributes_type": "Input should be an object",
}


def _received(entry: Mapping[str, Any]) -> Any:
    return entry["ctx"]["tag"] if entry["type"] == "union_tag_invalid" else entry.get("input")


def _parameter_pointer(source: str, path: Sequence[Any]) -> str:
    name = ".".join(str(part) for part in path)
    return {"query": f"?{name}", "header": f"header:{name}"}.get(source, name)


def _pointer(path: Sequence[Any], body: Any, kind: str) -> str:
    """The JSON pointer into the client's document; pydantic's path also has the names of union members, which it skips."""
    pointer = ""
    place = body
    for index, part in enumerate(path):
        if _has(place, part):
            place = place[part]
        elif not (kind == "missing" and index == len(path) - 1):
            continue
        pointer += "/" + str(part).replace("~", "~0").replace("/", "~1")[:MAX_RECEIVED]
    return pointer


def _has(place: Any, part: Any) -> bool:
    if isinstance(place, dict):
        return part in place
    return isinstance(place, list) and isinstance(part, int) and part < len(place)
