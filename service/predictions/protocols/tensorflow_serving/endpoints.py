"""The addresses of the protocol: predictions, the status of a model, and its metadata."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache, partial

import orjson

from service.errors import FitserveError, InvalidInput, MalformedInput, NotFound
from service.models.errors import AliasNotFound, ModelNotFound
from service.predictions.errors import MethodNotAllowed, NotOffered
from service.predictions.http import REMEMBERED_PATHS, Answer, Call, headers_for, is_resource_name, sentences_of, status_for
from service.predictions.protocols.tensorflow_serving.reading import encode, read_request
from service.predictions.protocols.tensorflow_serving.writing import metadata_of, write_answer
from service.predictions.service import Asked, PredictionService, Question
from service.predictions.versions import Selector
from service.settings import Settings

MAX_VERSION_DIGITS = 9
_PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]*)|/labels/(?P<label>[^/:]*))?"
    r"(?:(?P<metadata>/metadata)|:(?P<verb>[^/]*))?"
)
_NOT_OFFERED = ("classify", "regress")


@dataclass(frozen=True)
class Target:
    """What a path names. ``action`` is ``predict``, ``metadata`` or ``status``."""

    model: str
    selector: Selector
    action: str


class TensorFlowServing:
    """Everything under ``/v1``."""

    name = "tensorflow_serving"
    routes = tuple(
        (method, f"/v1/models/{{name}}{selector}{action}")
        for selector in ("", "/versions/{version}", "/labels/{label}")
        for method, action in (("POST", ":predict"), ("GET", ""), ("GET", "/metadata"))
    )

    def __init__(self, settings: Settings, service: PredictionService) -> None:
        self._max_body_bytes = settings.max_body_bytes
        self._max_rows = settings.max_predict_rows
        self._service = service

    def owns(self, path: str) -> bool:
        """Whether the path is below ``/v1``."""
        return path.startswith("/v1/") or path == "/v1"

    def answer_now(self, call: Call, body: bytes) -> Answer | None:
        """A prediction for a short body by a version that is at hand."""
        target = parse_path(call.method, call.path)
        found = self._service.recall(call.workspace_id, target.model, target.selector)
        if found is None or target.action != "predict" or call.is_coded:
            return None
        asked = self._service.read_now(call.stages, partial(self._read, target, body, "", len(body)))
        call.servable = found
        return self._service.predict_now(call.stages, found, asked.question, asked.write)

    async def answer(self, call: Call) -> Answer:
        """Route by path and method."""
        target = parse_path(call.method, call.path)
        return await (self._predict(call, target) if target.action == "predict" else self._describe(call, target))

    async def _describe(self, call: Call, target: Target) -> Answer:
        call.servable = await self._service.find(call.workspace_id, target.model, target.selector)
        if target.action == "metadata":
            return Answer(orjson.dumps(metadata_of(call.servable)))
        version = call.servable.version
        is_served = self._service.is_served(version.engine)
        state, code, message = ("AVAILABLE", "OK", "") if is_served else ("END", "UNAVAILABLE", version.reason or "")
        status = {"error_code": code, "error_message": message}
        entry = {"version": str(version.number), "state": state, "status": status}
        return Answer(orjson.dumps({"model_version_status": [entry]}))

    async def _predict(self, call: Call, target: Target) -> Answer:
        body = await call.read_body(self._max_body_bytes)
        encoding = call.header(b"content-encoding")
        weight = len(body) if not encoding else self._max_body_bytes
        ask = partial(self._read, target, body, encoding, weight)
        return await self._service.answer(call, target.model, ask, weight)

    def _read(self, target: Target, body: bytes, encoding: str, weight: int) -> Asked[Answer]:
        request = read_request(body, encoding, self._max_body_bytes, self._max_rows)
        question = Question(partial(encode, request), request.rows, weight)
        return Asked(target.selector, question, partial(write_answer, request.form))

    def refuse(self, call: Call, error: FitserveError) -> Answer:
        """The error as ``{"error": message}``; every invalid argument is a 400, an unknown label too."""
        status = 400 if isinstance(error, InvalidInput | AliasNotFound) else status_for(error)
        body = json.dumps({"error": sentences_of(error)}).encode()  # orjson would fail on lone surrogates of the client
        return Answer(body, status, headers=headers_for(error))


@lru_cache(REMEMBERED_PATHS)
def parse_path(method: str, path: str) -> Target:
    """What a request is about. Raises NotFound, MalformedInput, MethodNotAllowed or NotOffered."""
    match = _PATH.fullmatch(path)
    if match is None:
        if path.startswith("/v1/models/"):
            raise _malformed(method, path)
        raise NotFound(f"There is nothing at '{path[:100]}'. Predictions are at /v1/models/{{name}}:predict.")
    verb = match["verb"]
    if method not in ("GET", "POST"):
        raise MethodNotAllowed(method, "POST" if verb else "GET")
    if method == "POST" and verb in _NOT_OFFERED:
        raise NotOffered(f"There is no ':{verb}' here, since it reads tf.Example messages. Send the same rows to ':predict'.")
    if (method, verb) not in (("GET", None), ("POST", "predict")):
        raise _malformed(method, path)
    if not is_resource_name(match["model"]):
        raise ModelNotFound(match["model"])
    action = verb or ("metadata" if match["metadata"] else "status")
    return Target(match["model"], _selector_of(match, method, path), action)


def _selector_of(match: re.Match[str], method: str, path: str) -> Selector:
    version, label = match["version"], match["label"]
    if version is not None:
        if not (version.isascii() and version.isdigit()):
            raise _malformed(method, path)
        if len(version) > MAX_VERSION_DIGITS:
            raise NotFound(f"Servable not found for request: Specific({match['model']}, {version[:20]})")
        return int(version)
    if label is not None and not is_resource_name(label):
        raise _malformed(method, path)
    return label


def _malformed(method: str, path: str) -> MalformedInput:
    return MalformedInput(f"Malformed request: {method} {path[:100]}")
