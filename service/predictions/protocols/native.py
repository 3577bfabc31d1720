"""Fitserve's own predictions: raw rows in, values or labels with probabilities out, every mistake with its place."""

import re
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import orjson

from service.errors import FitserveError, InvalidInput, Problem, UnsupportedMediaType
from service.features.answers import to_answers
from service.models.errors import ModelNotFound
from service.predictions.errors import MethodNotAllowed
from service.predictions.http import REMEMBERED_PATHS, Answer, Call, headers_for, is_resource_name, status_for
from service.predictions.service import Outcome, PredictionService, Question
from service.predictions.versions import Selector
from service.settings import Settings
from service.web import problems
from service.web.json_body import parse_rows

FIELDS = ("rows", "version", "alias")
MAX_VERSION = 2**31 - 1
_PATH = re.compile(r"/api/models/([^/]*):predict")


@dataclass(frozen=True)
class NativeRequest:
    """A request that was read: ``rows`` are raw and not yet checked one by one."""

    rows: list[Any] | np.ndarray[Any, Any]
    selector: Selector


class Native:
    """``POST /api/models/{name}:predict``."""

    name = "native"
    routes: tuple[tuple[str, str], ...] = (("POST", "/api/models/{name}:predict"),)

    def __init__(self, settings: Settings, service: PredictionService) -> None:
        self._max_body_bytes = settings.max_body_bytes
        self._max_rows = settings.max_predict_rows
        self._service = service

    def owns(self, path: str) -> bool:
        """Whether the path is this operation's."""
        return _PATH.fullmatch(path) is not None

    async def answer(self, call: Call) -> Answer:
        """Read the request, find the version, predict."""
        model = model_of(call.method, call.path)
        _require_plain_json(call)
        body = await call.read_body(self._max_body_bytes)
        request = await self._service.read(call.stages, partial(read_request, body, self._max_rows), len(body))
        call.servable = await self._service.find(call.workspace_id, model, request.selector)
        question = Question(lambda encoder: encoder.encode_rows(request.rows), len(request.rows), len(body))
        return await self._service.predict(call.stages, call.servable, question, write_answer)

    def refuse(self, call: Call, error: FitserveError) -> Answer:
        """The error as problem+json."""
        status = status_for(error)
        found = error.problems if isinstance(error, InvalidInput) else []
        body = problems.problem_body(status, error.message, call.path, call.request_id, found)
        return Answer(body, status, problems.MEDIA_TYPE, headers_for(error))


@lru_cache(REMEMBERED_PATHS)
def model_of(method: str, path: str) -> str:
    """The model that a path names. Raises ModelNotFound or MethodNotAllowed."""
    match = _PATH.fullmatch(path)
    name = match[1] if match else ""
    if not is_resource_name(name):
        raise ModelNotFound(name)
    if method != "POST":
        raise MethodNotAllowed(method, "POST")
    return name


def _require_plain_json(call: Call) -> None:
    media_type = call.header(b"content-type").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType(
            f"This operation reads JSON. Received Content-Type '{media_type[:80]}'. Send 'Content-Type: application/json'."
        )
    if call.header(b"content-encoding") not in ("", "identity"):
        raise UnsupportedMediaType("This operation reads plain JSON. Send the body without Content-Encoding.")


def read_request(body: bytes, max_rows: int) -> NativeRequest:
    """The request in a body. Raises MalformedInput, or InvalidInput with every mistake outside the rows themselves."""
    document = parse_rows(body)
    if not isinstance(document, dict):
        problem = Problem("", "The body is no object.", problems.show(document), 'an object such as {"rows": [...]}')
        raise InvalidInput("The request cannot be used.", [problem])
    found = [*_unknown_fields(document), *_rows_problems(document, max_rows), *_selector_problems(document)]
    if found:
        raise InvalidInput(f"The request has {len(found)} mistake(s).", found)
    return NativeRequest(document["rows"], document.get("version", document.get("alias")))


def _unknown_fields(document: dict[str, Any]) -> list[Problem]:
    return [
        Problem(f"/{name[:80]}", "There is no such field.", expected=", ".join(FIELDS), fix="Leave it out.")
        for name in document
        if name not in FIELDS
    ]


def _rows_problems(document: dict[str, Any], max_rows: int) -> list[Problem]:
    if "rows" not in document:
        return [Problem("/rows", "This field is required.", expected="a list of rows")]
    rows = document["rows"]
    expected = f"a list of 1 to {max_rows} rows"
    if not isinstance(rows, list | np.ndarray):
        return [Problem("/rows", "This is no list.", problems.show(rows), expected, "Put one row into a list, too.")]
    if not len(rows):
        return [Problem("/rows", "There are no rows.", "an empty list", expected)]
    if len(rows) > max_rows:
        return [Problem("/rows", "There are too many rows.", f"{len(rows)} rows", expected, "Send several requests.")]
    return []


def _selector_problems(document: dict[str, Any]) -> list[Problem]:
    found = []
    version, alias = document.get("version", 1), document.get("alias", "default")
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        found.append(Problem("/version", "This is no version number.", problems.show(version), "an integer from 1"))
    if not (isinstance(alias, str) and is_resource_name(alias)):
        found.append(Problem("/alias", "This is no alias.", problems.show(alias), 'a name such as "production"'))
    if "version" in document and "alias" in document:
        found.append(Problem("/alias", "A version is named already.", fix="Send either version or alias."))
    return found


def write_answer(outcome: Outcome) -> Answer:
    """The body ``{model, version, predictions, warnings}``."""
    version = outcome.servable.version
    warnings = outcome.warnings
    if not all(np.isfinite(output).all() for output in outcome.outputs):
        warnings = [*warnings, "The model gave numbers that are not finite; they are null here."]
    body = orjson.dumps(
        {
            "model": version.model,
            "version": version.number,
            "predictions": to_answers(outcome.servable.plan, outcome.outputs),
            "warnings": warnings,
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return Answer(body)
