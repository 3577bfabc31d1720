"""Routes that read JSON strictly, and the session that an endpoint works in."""

import json
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import ConfigDict
from sqlalchemy.orm import Session
from starlette.routing import Match
from starlette.types import Scope

from service.errors import MalformedInput, UnsupportedMediaType
from service.infra.cursors import PageRequest
from service.infra.database import Database
from service.spec.base import Spec
from service.web.json_body import parse_strict
from service.web.parameters import OrderBy, PageSize, PageToken
from service.web.problems import problem_body

HOST = re.compile(r"([A-Za-z0-9._~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(:\d{0,5})?")
"""A host and a port (RFC 9110, 7.2)."""
MAX_VALUES = 100_000
"""Values of a document that is checked one by one; the mistakes of more would fill the memory."""


class StrictRequest(Request):
    """A request whose JSON is read by ``parse_strict``."""

    async def json(self) -> Any:
        """The parsed body. Raises MalformedInput or InvalidInput."""
        if not hasattr(self, "_strict_json"):
            self._strict_json = parse_strict(await self.body(), MAX_VALUES)
        return self._strict_json


class StrictRoute(APIRoute):
    """Reads a JSON body before FastAPI does, since FastAPI turns every reading error into one vague 400."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether this is the route of a request. No id or name holds a colon: ``/runs/{run_id}:cancel`` is no run."""
        match, found = super().matches(scope)
        if any(":" in str(value) for value in found.get("path_params", {}).values()):
            return Match.NONE, {}
        return match, found

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of this route."""
        handle = super().get_route_handler()
        reads_json = self.body_field is not None

        async def handle_strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            _check_address(strict)
            if reads_json and await strict.body():
                media_type = strict.headers.get("content-type", "").partition(";")[0].strip().lower()
                if media_type != "application/json":
                    raise UnsupportedMediaType(
                        f"This operation reads JSON. Received Content-Type '{media_type[:80]}'. "
                        "Send 'Content-Type: application/json'."
                    )
                if strict.headers.get("content-encoding", "identity") != "identity":
                    raise UnsupportedMediaType("This operation reads plain JSON. Send the body without Content-Encoding.")
                await strict.json()
            return await handle(strict)

        return handle_strictly


def _check_address(request: Request) -> None:
    """Raises MalformedInput on a zero byte, and on a Host that is none, of which no address of this service can be made."""
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise MalformedInput("The address holds a zero byte (%00). Leave it out.")
    host = request.headers.get("host", "")
    if not HOST.fullmatch(host):
        raise MalformedInput(f"The Host header is no host. Received '{host[:80]}'. Expected a name such as 'localhost:8000'.")


def make_router(tag: str) -> APIRouter:
    """A router for the endpoints of one noun."""
    return APIRouter(prefix="/api", tags=[tag], route_class=StrictRoute)


def database_of(request: Request) -> Database:
    """The database of the application."""
    database: Database = request.app.state.database
    return database


def _read_session(request: Request) -> Iterator[Session]:
    with database_of(request).read() as session:
        yield session


def _write_session(request: Request) -> Iterator[Session]:
    with database_of(request).write() as session:
        yield session


# The scope "function" ends the transaction before the answer is sent, so that a client finds what it has just written.
ReadSession = Annotated[Session, Depends(_read_session, scope="function")]
WriteSession = Annotated[Session, Depends(_write_session, scope="function")]


def _page_request(page_size: PageSize = 50, page_token: PageToken = None, order_by: OrderBy = None) -> PageRequest:
    return PageRequest(page_size, page_token, order_by)


PageOf = Annotated[PageRequest, Depends(_page_request)]


class ProblemEntry(Spec):
    """One thing that is wrong with the request."""

    pointer: str
    """JSON pointer to the place in the body, `?name` for a query parameter, `header:name` for a header."""
    message: str
    """What is wrong there."""
    received: str | None
    """A short picture of what was received."""
    expected: str | None
    """What would be right."""
    fix: str | None
    """How to mend it."""


class ProblemDocument(Spec):
    """An error, as RFC 9457 describes it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:fitserve:problem:unprocessable-content",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "The request has 1 mistake(s).",
                    "instance": "/api/models",
                    "request_id": "01a20b40944f7218989a91f2c975c619",
                    "errors": [
                        {
                            "pointer": "/definition/layers/0/type",
                            "message": "Unknown type 'Dens'.",
                            "received": "'Dens'",
                            "expected": "one of 'Dense', 'Activation', 'ReLU'",
                            "fix": "Did you mean 'Dense'?",
                        }
                    ],
                }
            ]
        }
    )

    type: str
    """A name for the kind of error that never changes."""
    title: str
    """The kind of error in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What went wrong this time."""
    instance: str
    """The path of the request."""
    request_id: str
    """Names this request in the service's log."""
    errors: list[ProblemEntry]
    """Each mistake, with its place."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of an operation, for its OpenAPI entry. Every one may answer 400, for its address, and 503."""
    descriptions = {
        400: "The request cannot be read at all.",
        404: "There is nothing of that name or id.",
        409: "The present state does not allow it.",
        412: "It has been changed since the state that `If-Match` names.",
        413: "The body is over the limit.",
        415: "The body is of a type that this operation does not read.",
        416: "The file has no such part as `Range` names.",
        422: "The request was read, but something in it is wrong.",
        429: "There are too many requests of this kind at once; try again later.",
        503: "Something that the answer needs is away; try again later.",
    }
    return {status: problem_answer(status, descriptions[status]) for status in (400, *statuses, 503)}


def headers_of(status: int, *names: str) -> dict[int | str, dict[str, Any]]:
    """The headers of an operation's success, for its OpenAPI entry."""
    known = {
        "ETag": ("Names this state of the model, for `If-Match`.", '"1-660fbef52d83d"'),
        "Location": ("Address of what has been made.", "/api/runs/run_01a20b40052676958af2ee9e1501afa3"),
        "Preference-Applied": ("How long the answer has waited at most, where `Prefer` asked for that.", "wait=10"),
    }
    headers = {name: {"description": known[name][0], "schema": {"type": "string"}, "example": known[name][1]} for name in names}
    return {status: {"headers": headers}}


def problem_answer(status: int, description: str) -> dict[str, Any]:
    """One error answer of an operation, with an example of that status; for 422 it is the schema's own."""
    media: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
    if status != 422:
        body = problem_body(status, description, "/api/models/my_model", "01a20b40944f7218989a91f2c975c619")
        media["example"] = json.loads(body)
    return {"description": description, "content": {"application/problem+json": media}}
