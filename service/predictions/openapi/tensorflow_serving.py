"""Describes the REST protocol of TensorFlow Serving under ``/v1``."""

from service.predictions.openapi.parts import (
    COLUMNS_EXAMPLE,
    ERRORS,
    LABEL,
    NAME,
    ROW,
    ROWS_EXAMPLE,
    SIZE_NOTE,
    VERSION_HEADER,
    VERSION_NUMBER,
    Json,
    Operation,
    answer,
    body,
    json_of,
    operation,
    sentence_errors,
)


def operations() -> list[Operation]:
    """Predictions, status and metadata of the default version, a numbered one, or one by its alias."""
    found: list[Operation] = []
    for end, selector, words, parameters in (
        ("", "", "the default version", [NAME]),
        ("_version", "/versions/{version}", "one version", [NAME, VERSION_NUMBER]),
        ("_label", "/labels/{label}", "the version that an alias names", [NAME, LABEL]),
    ):
        path = f"/v1/models/{{name}}{selector}"
        found.append((f"{path}:predict", "post", _predict(end, words, parameters)))
        found.append((path, "get", _status(end, words, parameters)))
        found.append((f"{path}/metadata", "get", _metadata(end, words, parameters)))
    return found


def _predict(end: str, words: str, parameters: list[Json]) -> Json:
    outputs = answer("The model's outputs for every row.", json_of("TensorFlowServingAnswer"), VERSION_HEADER)
    return operation(
        f"predict_tensorflow_serving{end}",
        f"Ask {words}, as TensorFlow Serving does",
        f"Ask {words} for raw outputs, in the REST protocol of TensorFlow Serving. Its `:classify` and `:regress` are "
        f"answered 501, since they read `tf.Example` messages. {SIZE_NOTE}",
        parameters,
        requestBody=body("The rows to predict.", json_of("TensorFlowServingRequest", examples=_EXAMPLES)),
        responses={"200": outputs, **sentence_errors(ERRORS)},
    )


def _status(end: str, words: str, parameters: list[Json]) -> Json:
    status = answer("The version and its state.", json_of("TensorFlowServingStatus"), VERSION_HEADER)
    return operation(
        f"read_tensorflow_serving_status{end}",
        f"Show the status of {words}, as TensorFlow Serving does",
        f"Tell whether {words} can answer predictions.",
        parameters,
        responses={"200": status, **sentence_errors((400, 404, 503))},
    )


def _metadata(end: str, words: str, parameters: list[Json]) -> Json:
    metadata = answer("The inputs and outputs.", json_of("TensorFlowServingMetadata"), VERSION_HEADER)
    return operation(
        f"read_tensorflow_serving_metadata{end}",
        f"Show the inputs and outputs of {words}, as TensorFlow Serving does",
        f"Tell the names, types and shapes of what {words} takes and gives; for a model of a table, each column is an input.",
        parameters,
        responses={"200": metadata, **sentence_errors((400, 404, 503))},
    )


_EXAMPLES: Json = {
    "table": {"summary": "Rows", "value": {"instances": ROWS_EXAMPLE}},
    "table_by_column": {"summary": "Columns by name", "value": {"inputs": COLUMNS_EXAMPLE}},
}
_TENSOR: Json = {
    "anyOf": [{"type": "array", "items": {}}, {"type": "object"}],
}
_DIMENSIONS: Json = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
_SIGNATURE: Json = {
    "inputs": {name: {"dtype": "DT_DOUBLE", "tensor_shape": _DIMENSIONS, "name": f"{name}:0"} for name in COLUMNS_EXAMPLE},
    "outputs": {
        "species": {
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": [*_DIMENSIONS["dim"], {"size": "2", "name": ""}], "unknown_rank": False},
            "name": "species:0",
        }
    },
    "method_name": "tensorflow/serving/predict",
}
SCHEMAS: Json = {
    "TensorFlowServingRequest": {
        "description": "Either `instances` (rows) or `inputs` (columns).",
        "type": "object",
        "properties": {
            "signature_name": {"description": "Always `serving_default`; may be left out.", "type": "string"},
            "instances": {"description": "The rows, at least one.", "type": "array", "minItems": 1, "items": ROW},
            "inputs": {
                "description": "One tensor of all rows, or an object with a list of values for every column.",
                **_TENSOR,
            },
        },
    },
    "TensorFlowServingAnswer": {
        "description": "`predictions` for `instances`, `outputs` for `inputs`.",
        "type": "object",
        "properties": {
            "predictions": {"description": "The model's output for each row.", "type": "array", "items": {}},
            "outputs": {
                "description": "The model's output as one tensor, or by name where there are several.",
                **_TENSOR,
            },
        },
        "example": {"predictions": [[0.97, 0.03], [0.02, 0.98]]},
    },
    "TensorFlowServingStatus": {
        "description": "The state of the version that a request would use.",
        "type": "object",
        "properties": {
            "model_version_status": {
                "description": "One entry: the version that answers.",
                "type": "array",
                "items": {
                    "description": "A version and its state.",
                    "type": "object",
                    "properties": {
                        "version": {"description": "Number of the version.", "type": "string"},
                        "state": {"description": "`AVAILABLE` when it answers, else `END`.", "type": "string"},
                        "status": {
                            "description": "An error code and a message; `OK` when it answers.",
                            "type": "object",
                        },
                    },
                },
            }
        },
        "example": {
            "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]
        },
    },
    "TensorFlowServingMetadata": {
        "description": "What a version takes and gives.",
        "type": "object",
        "properties": {
            "model_spec": {
                "description": "Which version it is: `name`, `signature_name` and `version`, all as text.",
                "type": "object",
            },
            "metadata": {
                "description": "`signature_def.signature_def.serving_default` has `inputs` and `outputs` by name, each with its "
                "`dtype` and `tensor_shape`; the size -1 is the number of rows.",
                "type": "object",
            },
        },
        "example": {
            "model_spec": {"name": "my_model", "signature_name": "", "version": "1"},
            "metadata": {"signature_def": {"signature_def": {"serving_default": _SIGNATURE}}},
        },
    },
}
