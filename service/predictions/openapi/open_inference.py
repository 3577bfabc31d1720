"""Describes the Open Inference Protocol under ``/v2``: its operations."""

from service.predictions.openapi.open_inference_schemas import ANSWER_EXAMPLE, EXAMPLES, SCHEMAS
from service.predictions.openapi.parts import (
    ERRORS,
    JSON_TYPE,
    NAME,
    SIZE_NOTE,
    VERSION_HEADER,
    Json,
    Operation,
    answer,
    body,
    json_of,
    operation,
    path_parameter,
    ref,
    sentence_errors,
)

__all__ = ["SCHEMAS", "operations"]

BINARY_TYPE = "application/octet-stream"
VERSION = path_parameter("version", "Number of the version, or an alias.", {"type": "string"}, "1")
JSON_BYTES: Json = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "description": "Bytes of the JSON part, where tensors follow it as bytes; 0 says that the whole body is the only input's "
    "bytes for one row. Leave it out where the body is JSON.",
    "schema": {"type": "integer", "minimum": 0, "examples": [167]},
}
BINARY_BODY: Json = {
    "description": "The JSON document, whose tensors have `parameters.binary_data_size` instead of `data`; then all bytes in "
    "the same order, little-endian and without padding. Each text has its length in front of it, in four bytes.",
    "type": "string",
    "format": "binary",
}


def operations() -> list[Operation]:
    """Those of the server, and those of the default version or one that is named."""
    found = [
        ("/v2", "get", _server()),
        ("/v2/health/live", "get", _live()),
        ("/v2/health/ready", "get", _ready()),
        ("/v2/repository/index", "post", _index()),
    ]
    for end, selector, words, parameters in (
        ("", "", "the default version", [NAME]),
        ("_version", "/versions/{version}", "one version", [NAME, VERSION]),
    ):
        path = f"/v2/models/{{name}}{selector}"
        found.append((path, "get", _model(end, words, parameters)))
        found.append((f"{path}/ready", "get", _model_ready(end, words, parameters)))
        found.append((f"{path}/infer", "post", _infer(end, words, parameters)))
    return found


def _server() -> Json:
    return operation(
        "read_inference_server",
        "Show the server, in the Open Inference Protocol",
        "Tell the server's name, its version and which extensions of the protocol it speaks.",
        [],
        responses={"200": answer("The server.", json_of("InferenceServer"))},
    )


def _live() -> Json:
    return operation(
        "read_inference_liveness",
        "Tell whether the server lives, in the Open Inference Protocol",
        "Answer as long as the process does its work, as `GET /livez` does.",
        [],
        responses={"200": answer("It lives.", json_of("InferenceLiveness"))},
    )


def _ready() -> Json:
    return operation(
        "read_inference_readiness",
        "Tell whether the server is ready, in the Open Inference Protocol",
        "Tell whether predictions can be answered, as `GET /readyz` does.",
        [],
        responses={"200": answer("It is ready.", json_of("InferenceReadiness")), **sentence_errors((503,))},
    )


def _index() -> Json:
    asked = body("Which versions are wanted.", json_of("InferenceIndexRequest", example={"ready": True}), is_required=False)
    entries: Json = {"type": "array", "items": ref("InferenceIndexEntry")}
    return operation(
        "list_inference_versions",
        "List all versions, in the Open Inference Protocol",
        "List every version of every model, and whether it can answer.",
        [],
        requestBody=asked,
        responses={
            "200": answer("The versions, by model and number.", {JSON_TYPE: {"schema": entries}}),
            **sentence_errors((400, 413, 415, 503)),
        },
    )


def _model(end: str, words: str, parameters: list[Json]) -> Json:
    return operation(
        f"read_inference_model{end}",
        f"Show the inputs and outputs of {words}, in the Open Inference Protocol",
        f"Tell the names, datatypes and shapes of what {words} takes and gives; for a model of a table, each column is an input.",
        parameters,
        responses={
            "200": answer("The inputs and outputs.", json_of("InferenceModel"), VERSION_HEADER),
            **sentence_errors((404, 503)),
        },
    )


def _model_ready(end: str, words: str, parameters: list[Json]) -> Json:
    return operation(
        f"read_inference_model_readiness{end}",
        f"Tell whether {words} is ready, in the Open Inference Protocol",
        f"Tell whether {words} can answer predictions; its model is loaded for that.",
        parameters,
        responses={
            "200": answer("It is ready.", json_of("InferenceModelReadiness"), VERSION_HEADER),
            **sentence_errors((404, 503)),
        },
    )


def _infer(end: str, words: str, parameters: list[Json]) -> Json:
    tensors = {**json_of("InferenceRequest", examples=EXAMPLES), BINARY_TYPE: {"schema": BINARY_BODY}}
    outputs = {**json_of("InferenceAnswer", example=ANSWER_EXAMPLE), BINARY_TYPE: {"schema": BINARY_BODY}}
    return operation(
        f"predict_inference{end}",
        f"Ask {words}, in the Open Inference Protocol",
        f"Ask {words} for raw outputs, with tensors as JSON or as bytes, in any mixture. Bodies may be compressed with gzip or "
        f"deflate (`Content-Encoding`), and so are answers where `Accept-Encoding` names one of these alone. {SIZE_NOTE}",
        [*parameters, JSON_BYTES],
        requestBody=body("The tensors to predict from.", tensors),
        responses={"200": answer("The outputs for every row.", outputs, _INFER_HEADERS), **sentence_errors(ERRORS)},
    )


_INFER_HEADERS: Json = {
    **VERSION_HEADER,
    "Inference-Header-Content-Length": {
        "description": "Bytes of the JSON part, where outputs follow it as bytes.",
        "schema": {"type": "integer"},
        "example": 129,
    },
}
