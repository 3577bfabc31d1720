"""TensorFlow Serving's REST protocol for predictions, so that its clients only change the address.

Source: ``http_rest_api_handler.cc`` and ``json_tensor.cc`` of TensorFlow Serving, and its REST API guide. For a model
of a table, which TensorFlow Serving does not know, a row is an object of raw columns, or a list of them in order.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import orjson

from service.errors import FitserveError, InvalidInput, MalformedInput, NotFound, Problem
from service.features.plan import FeaturePlan
from service.models.errors import AliasNotFound, ModelNotFound
from service.predictions.errors import MethodNotAllowed
from service.predictions.http import Answer, Call, expand, headers_for, is_resource_name, status_for
from service.predictions.service import Outcome, PredictionService
from service.predictions.versions import Selector
from service.settings import Settings

MAX_VERSION_DIGITS = 9
MAX_SHOWN_PROBLEMS = 5
SIGNATURES = ("", "serving_default")
_PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]*)|/labels/(?P<label>[^/:]*))?(?::(?P<verb>[^/]*))?"
)

Form = Literal["instances", "inputs"]


@dataclass(frozen=True)
class Target:
    """What a path names. ``verb`` is None for the status of the model."""

    model: str
    selector: Selector
    verb: str | None


@dataclass(frozen=True)
class ServingRequest:
    """A request that was read: ``data`` holds rows (``instances``) or columns (``inputs``), not yet checked."""

    form: Form
    data: Any


class TensorFlowServing:
    """Everything under ``/v1``."""

    name = "tensorflow_serving"
    routes = tuple(
        (method, f"/v1/models/{{name}}{selector}{verb}")
        for selector in ("", "/versions/{version}", "/labels/{label}")
        for method, verb in (("POST", ":predict"), ("GET", ""))
    )

    def __init__(self, settings: Settings, service: PredictionService) -> None:
        self._max_body_bytes = settings.max_body_bytes
        self._max_rows = settings.max_predict_rows
        self._service = service

    def owns(self, path: str) -> bool:
        """Whether the path is below ``/v1``."""
        return path.startswith("/v1/") or path == "/v1"

    async def answer(self, call: Call) -> Answer:
        """Route by path and method."""
        target = parse_path(call.method, call.path)
        if target.verb is None:
            return await self._status(call, target)
        return await self._predict(call, target)

    async def _status(self, call: Call, target: Target) -> Answer:
        call.servable = await self._service.find(call.workspace_id, target.model, target.selector)
        version = call.servable.version
        is_served = self._service.is_served(call.servable)
        state, code, message = ("AVAILABLE", "OK", "") if is_served else ("END", "UNAVAILABLE", version.reason or "")
        status = {"error_code": code, "error_message": message}
        entry = {"version": str(version.number), "state": state, "status": status}
        return Answer(orjson.dumps({"model_version_status": [entry]}))

    async def _predict(self, call: Call, target: Target) -> Answer:
        body = await call.read_body(self._max_body_bytes)
        encoding = call.header(b"content-encoding")
        weight = len(body) if not encoding else self._max_body_bytes
        read = partial(read_request, body, encoding, self._max_body_bytes)
        request = await self._service.read(read, weight)
        call.servable = await self._service.find(call.workspace_id, target.model, target.selector)
        rows = rows_of(request, call.servable.plan, self._max_rows)
        write = partial(write_answer, request.form)
        return Answer(await self._service.predict(call.servable, rows, f"/{request.form}", write, weight))

    def refuse(self, call: Call, error: FitserveError) -> Answer:
        """The error as ``{"error": message}``; every invalid argument is a 400, an unknown label too."""
        status = 400 if isinstance(error, InvalidInput | AliasNotFound) else status_for(error)
        body = json.dumps({"error": _message_of(error)}).encode()  # orjson would fail on lone surrogates of the client
        return Answer(body, status, headers=headers_for(error))


def parse_path(method: str, path: str) -> Target:
    """What a request is about. Raises NotFound, MalformedInput or MethodNotAllowed."""
    match = _PATH.fullmatch(path)
    if match is None:
        if path.startswith("/v1/models/"):
            raise _malformed(method, path)
        raise NotFound(f"There is nothing at '{path[:200]}'. Predictions are at /v1/models/{{name}}:predict.")
    if method not in ("GET", "POST"):
        raise MethodNotAllowed(method, "POST" if match["verb"] else "GET")
    if (method, match["verb"]) not in (("GET", None), ("POST", "predict")):
        raise _malformed(method, path)
    if not is_resource_name(match["model"]):
        raise ModelNotFound(match["model"])
    return Target(match["model"], _selector_of(match, method, path), match["verb"])


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
    return MalformedInput(f"Malformed request: {method} {path[:200]}")


def read_request(body: bytes, encoding: str, max_bytes: int) -> ServingRequest:
    """The request in a body. Unknown fields are ignored, as TensorFlow Serving does.

    Raises MalformedInput, InvalidInput, PayloadTooLarge or UnsupportedMediaType.
    """
    document = parse_lenient(expand(body, encoding, max_bytes))
    if not isinstance(document, dict):
        raise MalformedInput('The body is no JSON object. Expected {"instances": [...]} or {"inputs": ...}.')
    if document.get("signature_name") not in (None, *SIGNATURES):
        raise _invalid("/signature_name", "There is no such signature. Expected 'serving_default', or leave it out.")
    if ("instances" in document) == ("inputs" in document):
        raise _invalid("", "The body needs either 'instances' (rows) or 'inputs' (columns), not both.")
    form: Form = "instances" if "instances" in document else "inputs"
    return ServingRequest(form, document[form])


def parse_lenient(body: bytes) -> Any:
    """JSON as TensorFlow Serving reads it: bare NaN and infinities are numbers. Raises MalformedInput."""
    reason: ValueError
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as strict_error:
        reason = strict_error
    try:
        return json.loads(body.decode())
    except json.JSONDecodeError as error:
        reason = error
    except (ValueError, RecursionError):  # no UTF-8, a number of thousands of digits, or brackets without end
        pass
    raise MalformedInput(f"JSON Parse error: {reason}")


def rows_of(request: ServingRequest, plan: FeaturePlan, max_rows: int) -> list[Any]:
    """The rows for the plan's encoder. Raises InvalidInput."""
    rows = _from_instances(request.data, plan) if request.form == "instances" else _from_inputs(request.data, plan)
    if not isinstance(rows, list) or not rows:
        raise _invalid(f"/{request.form}", "Expected a list that is not empty.")
    if len(rows) > max_rows:
        raise _invalid(f"/{request.form}", f"There are {len(rows)} rows. At most {max_rows} may be sent at once.")
    return rows


def _from_instances(instances: Any, plan: FeaturePlan) -> Any:
    """Rows as they are; a row of a model of one array may be wrapped in an object with the input's name."""
    if len(plan.array_inputs) != 1 or not isinstance(instances, list):
        return instances
    name = plan.array_inputs[0].name
    return [row[name] if isinstance(row, dict) and row.keys() == {name} else row for row in instances]


def _from_inputs(inputs: Any, plan: FeaturePlan) -> Any:
    """Columns turned into rows; the tensor of a model of one array may come with or without its name."""
    if plan.is_of_table:
        return _rows_of_columns(inputs, _unwrap)
    if len(plan.inputs) > 1:
        return _rows_of_columns(inputs, lambda value: value)
    name = plan.inputs[0].name
    return inputs[name] if isinstance(inputs, dict) and inputs.keys() == {name} else inputs


def _rows_of_columns(columns: Any, read: Callable[[Any], Any]) -> list[dict[str, Any]]:
    if not isinstance(columns, dict) or not all(isinstance(values, list) for values in columns.values()):
        raise _invalid("/inputs", "Expected an object with a list of values for every column or input.")
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise _invalid("/inputs", f"Every column or input needs equally many values. Received {sorted(lengths)[:5]}.")
    names = list(columns)
    return [dict(zip(names, map(read, values), strict=True)) for values in zip(*columns.values(), strict=True)]


def _unwrap(value: Any) -> Any:
    """A column may have the shape (rows,) or (rows, 1)."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def write_answer(form: Form, outcome: Outcome) -> bytes:
    """``{"predictions": rows}`` or ``{"outputs": columns}``; outputs have names only where there are several."""
    outputs = outcome.outputs
    names = [spec.name for spec in outcome.servable.version.outputs]
    content: Any = outputs[0]
    if len(outputs) > 1:
        content = dict(zip(names, outputs, strict=True))
        if form == "instances":
            content = [dict(zip(names, row, strict=True)) for row in zip(*outputs, strict=True)]
    document = {"predictions" if form == "instances" else "outputs": content}
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY, default=_to_list)
    if b"null" in body:  # which is what orjson writes for NaN and infinities
        body = json.dumps(document, default=_to_list).encode()
    return body


def _to_list(array: "np.ndarray[Any, Any]") -> Any:
    return array.tolist()


def _invalid(pointer: str, message: str) -> InvalidInput:
    return InvalidInput("The request cannot be used.", [Problem(pointer, message)])


def _message_of(error: FitserveError) -> str:
    if not isinstance(error, InvalidInput) or not error.problems:
        return error.message
    shown = [_sentence_of(problem) for problem in error.problems[:MAX_SHOWN_PROBLEMS]]
    hidden = len(error.problems) - len(shown)
    return " ".join([error.message, *shown, *([f"And {hidden} more."] if hidden else [])])


def _sentence_of(problem: Problem) -> str:
    parts = [f"{problem.pointer.strip('/')}: {problem.message}" if problem.pointer else problem.message]
    if problem.received:
        parts.append(f"Received {problem.received}.")
    if problem.expected:
        parts.append(f"Expected {problem.expected}.")
    return " ".join([*parts, problem.fix or ""]).strip()
