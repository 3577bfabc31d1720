"""The address of native predictions."""

import re
from functools import lru_cache, partial

from service.errors import FitserveError, InvalidInput, UnsupportedMediaType
from service.models.errors import ModelNotFound
from service.predictions.errors import MethodNotAllowed
from service.predictions.http import REMEMBERED_PATHS, Answer, Call, headers_for, is_resource_name, status_for
from service.predictions.protocols.native.media import MediaType, sent_type, wanted_type
from service.predictions.protocols.native.reading import RequestLimits, read_request
from service.predictions.protocols.native.writing import WRITERS
from service.predictions.service import Asked, PredictionService, Question, Write
from service.settings import Settings
from service.web import problems

_PATH = re.compile(r"/api/models/([^/]*):predict")


class Native:
    """``POST /api/models/{name}:predict``."""

    name = "native"
    routes: tuple[tuple[str, str], ...] = (("POST", "/api/models/{name}:predict"),)

    def __init__(self, settings: Settings, service: PredictionService) -> None:
        self._max_body_bytes = settings.max_body_bytes
        self._limits = RequestLimits(settings.max_predict_rows, settings.max_columns, settings.max_json_depth)
        self._service = service

    def owns(self, path: str) -> bool:
        """Whether the path is this operation's."""
        return _PATH.fullmatch(path) is not None

    def answer_now(self, call: Call, body: bytes) -> Answer | None:
        """A prediction for a short body by a version that is at hand."""
        model = model_of(call.method, call.path)
        sent = sent_type(call.header(b"content-type"))
        write = WRITERS[wanted_type(call.header(b"accept"), sent)]
        if call.is_coded:
            return None
        asked = self._service.read_now(call.stages, partial(self._read, sent, body, call.query, write))
        found = self._service.recall(call.workspace_id, model, asked.selector)
        if found is None:
            return None
        call.servable = found
        return self._service.predict_now(call.stages, found, asked.question, asked.write)

    async def answer(self, call: Call) -> Answer:
        """Read the request, find the version, predict."""
        model = model_of(call.method, call.path)
        sent = sent_type(call.header(b"content-type"))
        write = WRITERS[wanted_type(call.header(b"accept"), sent)]
        _refuse_encoding(call)
        body = await call.read_body(self._max_body_bytes)
        return await self._service.answer(call, model, partial(self._read, sent, body, call.query, write), len(body))

    def _read(self, sent: MediaType, body: bytes, query: bytes, write: Write[Answer]) -> Asked[Answer]:
        request = read_request(sent, body, query, self._limits)
        return Asked(request.selector, Question(request.encode, request.rows, len(body)), write)

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


def _refuse_encoding(call: Call) -> None:
    if call.header(b"content-encoding") not in ("", "identity"):
        raise UnsupportedMediaType("This operation reads plain bodies. Send the body without Content-Encoding.")
