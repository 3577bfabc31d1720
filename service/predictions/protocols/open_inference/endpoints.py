"""The addresses of the protocol: health, metadata, readiness, inference and the index of the repository."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import orjson
from anyio import to_thread

import service
from service.errors import FitserveError, InvalidInput, MalformedInput, NotFound, Problem, Unavailable
from service.features.requests import Encoded, RequestEncoder
from service.features.signature import raw_inputs
from service.models.errors import ModelNotFound, VersionNotFound
from service.predictions.errors import MethodNotAllowed
from service.predictions.http import (
    REMEMBERED_PATHS,
    Answer,
    Call,
    expand,
    headers_for,
    is_resource_name,
    sentences_of,
    status_for,
)
from service.predictions.protocols.open_inference.reading import InferRequest, read_raw_request, read_request
from service.predictions.protocols.open_inference.writing import JSON_BYTES_HEADER, metadata_of, write_answer
from service.predictions.service import Asked, PredictionService, Question
from service.predictions.versions import ListedVersion, Selector
from service.settings import Settings

MAX_VERSION_DIGITS = 9
MAX_LENGTH_DIGITS = 12
MAX_INDEX_BYTES = 16 * 1024
"""Largest body of a request for the index, which names nothing but one flag."""
READY = "READY"
SERVER = {"name": "fitserve", "version": service.__version__, "extensions": ["binary_tensor_data"]}
_MODEL_PATH = re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]*))?(?P<action>/ready|/infer)?")


@dataclass(frozen=True)
class Target:
    """What a path names. ``action`` is ``""`` for the metadata of the model."""

    model: str
    selector: Selector
    action: str


class OpenInference:
    """Everything under ``/v2``."""

    name = "open_inference"
    routes = (
        ("GET", "/v2"),
        ("GET", "/v2/health/live"),
        ("GET", "/v2/health/ready"),
        ("POST", "/v2/repository/index"),
        *(
            (method, f"/v2/models/{{name}}{version}{action}")
            for version in ("", "/versions/{version}")
            for method, action in (("GET", ""), ("GET", "/ready"), ("POST", "/infer"))
        ),
    )

    def __init__(self, settings: Settings, service: PredictionService, check_ready: Callable[[], None]) -> None:
        """``check_ready`` may block; it raises where the server is not ready."""
        self._max_body_bytes = settings.max_body_bytes
        self._max_rows = settings.max_predict_rows
        self._service = service
        self._check_ready = check_ready

    def owns(self, path: str) -> bool:
        """Whether the path is below ``/v2``."""
        return path.startswith("/v2/") or path == "/v2"

    def answer_now(self, call: Call, body: bytes) -> Answer | None:
        """An inference for a short body by a version that is at hand."""
        if not call.path.endswith("/infer") or call.is_coded:
            return None
        target = parse_path(call.method, call.path)
        found, json_bytes = self._service.recall(call.workspace_id, target.model, target.selector), _json_bytes(call)
        if found is None or json_bytes == 0:
            return None
        asked = self._service.read_now(call.stages, partial(self._read, target, body, "", json_bytes, len(body)))
        call.servable = found
        return self._service.predict_now(call.stages, found, asked.question, asked.write)

    async def answer(self, call: Call) -> Answer:
        """Route by path and method."""
        match call.path:
            case "/v2" | "/v2/":
                return _json(call, "GET", SERVER)
            case "/v2/health/live":
                return _json(call, "GET", {"live": True})
            case "/v2/health/ready":
                return await self._ready(call)
            case "/v2/repository/index":
                return await self._index(call)
        return await self._answer_model(call, parse_path(call.method, call.path))

    def refuse(self, call: Call, error: FitserveError) -> Answer:
        """The error as ``{"error": message}``; every invalid argument is a 400."""
        status = 400 if isinstance(error, InvalidInput) else status_for(error)
        body = json.dumps({"error": sentences_of(error)}).encode()  # orjson would fail on lone surrogates of the client
        return Answer(body, status, headers=headers_for(error))

    async def _ready(self, call: Call) -> Answer:
        _require(call, "GET")
        await to_thread.run_sync(self._check_ready)
        return _json(call, "GET", {"ready": True})

    async def _index(self, call: Call) -> Answer:
        _require(call, "POST")
        body = expand(await call.read_body(MAX_INDEX_BYTES), call.header(b"content-encoding"), MAX_INDEX_BYTES)
        is_ready_only = _read_index_request(body)
        entries = [
            _index_entry(entry, self._service.is_served(entry.engine))
            for entry in await self._service.list_versions(call.workspace_id)
        ]
        return Answer(orjson.dumps([entry for entry in entries if entry["state"] == READY or not is_ready_only]))

    async def _answer_model(self, call: Call, target: Target) -> Answer:
        if target.action == "/infer":
            return await self._infer(call, target)
        call.servable = await self._service.find(call.workspace_id, target.model, target.selector)
        if target.action == "":
            return Answer(orjson.dumps(metadata_of(call.servable)))
        version = call.servable.version
        if not self._service.is_served(version.engine):
            raise Unavailable(f"Version {version.number} of model '{version.model}' is not ready: {version.reason}")
        return Answer(orjson.dumps({"name": version.model, "ready": True}))

    async def _infer(self, call: Call, target: Target) -> Answer:
        body = await call.read_body(self._max_body_bytes)
        encoding = call.header(b"content-encoding")
        weight = len(body) if not encoding else self._max_body_bytes
        json_bytes = _json_bytes(call)
        if json_bytes == 0:
            return await self._infer_raw(call, target, body, encoding, weight)
        ask = partial(self._read, target, body, encoding, json_bytes, weight)
        return await self._service.answer(call, target.model, ask, weight)

    async def _infer_raw(self, call: Call, target: Target, body: bytes, encoding: str, weight: int) -> Answer:
        """Only the version says what the bytes mean."""
        call.servable = await self._service.find(call.workspace_id, target.model, target.selector)
        inputs = raw_inputs(call.servable.plan)
        request = await self._service.read(
            call.stages, lambda: read_raw_request(expand(body, encoding, self._max_body_bytes), inputs), weight
        )
        asked = self._asked(target, request, weight)
        return await self._service.predict(call.stages, call.servable, asked.question, asked.write)

    def _read(self, target: Target, body: bytes, encoding: str, json_bytes: int | None, weight: int) -> Asked[Answer]:
        plain = expand(body, encoding, self._max_body_bytes) if encoding else body
        return self._asked(target, read_request(plain, json_bytes), weight)

    def _asked(self, target: Target, request: InferRequest, weight: int) -> Asked[Answer]:
        return Asked(
            target.selector, Question(partial(self._encode, request), request.rows, weight), partial(write_answer, request)
        )

    def _encode(self, request: InferRequest, encoder: RequestEncoder) -> Encoded:
        if request.rows > self._max_rows:
            problem = Problem("/inputs/0/shape", f"There are {request.rows} rows.", expected=f"at most {self._max_rows}")
            raise InvalidInput("There are too many rows.", [problem])
        return encoder.encode_tensors(request.tensors, request.pointers)


def _index_entry(version: ListedVersion, is_served: bool) -> dict[str, str]:
    state, reason = (READY, "") if is_served else ("UNAVAILABLE", version.reason or "")
    return {"name": version.model, "version": str(version.number), "state": state, "reason": reason}


@lru_cache(REMEMBERED_PATHS)
def parse_path(method: str, path: str) -> Target:
    """What a request for a model is about. Raises NotFound or MethodNotAllowed."""
    match = _MODEL_PATH.fullmatch(path)
    if match is None:
        raise NotFound(f"There is nothing at '{path[:80]}'. Predictions are at /v2/models/{{name}}/infer.")
    action = match["action"] or ""
    allowed = "POST" if action == "/infer" else "GET"
    if method != allowed:
        raise MethodNotAllowed(method, allowed)
    if not is_resource_name(match["model"]):
        raise ModelNotFound(match["model"])
    return Target(match["model"], _selector_of(match["model"], match["version"]), action)


def _selector_of(model: str, version: str | None) -> Selector:
    """A version is a text in this protocol, so an alias may stand for one."""
    if version is None:
        return None
    if version.isascii() and version.isdigit() and len(version) <= MAX_VERSION_DIGITS:
        return int(version)
    if version.isdigit() or not is_resource_name(version):
        raise VersionNotFound(model, version[:40])
    return version


def _json_bytes(call: Call) -> int | None:
    """Length of the JSON part; None where the whole body is JSON. Raises MalformedInput."""
    text = call.header(JSON_BYTES_HEADER)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS):
        raise MalformedInput(f"The header Inference-Header-Content-Length is no number of bytes. Received '{text[:40]}'.")
    return int(text)


def _read_index_request(body: bytes) -> bool:
    """Whether only versions that are ready are wanted. Raises MalformedInput or InvalidInput."""
    if not body.strip():
        return False
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedInput(f"The body is no valid JSON: {error.msg}.") from error
    is_ready_only: Any = document.get("ready", False) if isinstance(document, dict) else None
    if not isinstance(is_ready_only, bool):
        raise InvalidInput("The request cannot be used.", [Problem("/ready", "Expected an object, with true or false.")])
    return is_ready_only


def _json(call: Call, method: str, document: dict[str, Any]) -> Answer:
    _require(call, method)
    return Answer(orjson.dumps(document))


def _require(call: Call, method: str) -> None:
    if call.method != method:
        raise MethodNotAllowed(call.method, method)
