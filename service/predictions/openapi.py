"""The prediction operations in the OpenAPI document, written by hand, since no web framework knows their routes."""

from typing import Any

from service.web.routing import problem_answer

Json = dict[str, Any]

ROWS_EXAMPLE = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
FLATS_EXAMPLE = [{"size": 7.8, "rooms": 2, "city": "Oslo", "about": "bright and quiet"}]
PAIRS_EXAMPLE = [{"left": [5.5, 5, 5], "right": [5, 5, 5]}]
SIZE_NOTE = (
    "The example is for a model named `my_model` with four columns; a version's `example` "
    "(`GET /api/models/{name}/versions/{version}`) is a request for your own model."
)
NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"


def add_prediction_paths(document: Json) -> None:
    """Add the operations and their schemas to an OpenAPI document, in place."""
    paths: Json = document.setdefault("paths", {})
    for path, method, operation in _operations():
        paths.setdefault(path, {})[method] = operation
    document.setdefault("components", {}).setdefault("schemas", {}).update(_SCHEMAS)


def _operations() -> list[tuple[str, str, Json]]:
    operations = [("/api/models/{name}:predict", "post", _native())]
    for suffix, selector, words, parameters in (
        ("", "", "the default version", [_NAME]),
        ("_version", "/versions/{version}", "one version", [_NAME, _VERSION]),
        ("_label", "/labels/{label}", "the version that an alias names", [_NAME, _LABEL]),
    ):
        path = f"/v1/models/{{name}}{selector}"
        operations.append((f"{path}:predict", "post", _serving_predict(suffix, words, parameters)))
        operations.append((path, "get", _serving_status(suffix, words, parameters)))
    return operations


def _native() -> Json:
    return {
        "tags": ["predictions"],
        "operationId": "predict",
        "summary": "Predict",
        "description": f"Ask a trained model for its answer to each row. {SIZE_NOTE}",
        "parameters": [_NAME],
        "requestBody": _body("PredictRequest", examples=_NATIVE_EXAMPLES),
        "responses": {
            "200": _answer(
                "PredictAnswer", "One prediction per row, in the order of the rows.", _VERSION_HEADER, examples=_NATIVE_ANSWERS
            ),
            **{str(status): problem_answer(status, text) for status, text in _ERRORS.items()},
            "422": problem_answer(422, "The request was read, but something in it is wrong."),
        },
    }


def _serving_predict(suffix: str, words: str, parameters: list[Json]) -> Json:
    return {
        "tags": ["predictions"],
        "operationId": f"predict_tensorflow_serving{suffix}",
        "summary": f"Ask {words}, as TensorFlow Serving does",
        "description": f"Ask {words} for raw outputs, in the REST protocol of TensorFlow Serving. {SIZE_NOTE}",
        "parameters": parameters,
        "requestBody": _body("TensorFlowServingRequest", example={"instances": ROWS_EXAMPLE}),
        "responses": {
            "200": _answer("TensorFlowServingAnswer", "The model's outputs for every row.", _VERSION_HEADER),
            **{str(status): _serving_error(text) for status, text in _ERRORS.items()},
        },
    }


def _serving_status(suffix: str, words: str, parameters: list[Json]) -> Json:
    return {
        "tags": ["predictions"],
        "operationId": f"read_tensorflow_serving_status{suffix}",
        "summary": f"Show the status of {words}, as TensorFlow Serving does",
        "description": f"Tell whether {words} can answer predictions.",
        "parameters": parameters,
        "responses": {
            "200": _answer("TensorFlowServingStatus", "The version and its state.", _VERSION_HEADER),
            **{str(status): _serving_error(_ERRORS[status]) for status in (400, 404, 503)},
        },
    }


def _body(schema: str, **examples: Json) -> Json:
    content = {"application/json": {"schema": _ref(schema), **examples}}
    return {"description": "The rows to predict.", "required": True, "content": content}


def _answer(schema: str, description: str, headers: Json, **examples: Json) -> Json:
    content = {"application/json": {"schema": _ref(schema), **examples}}
    return {"description": description, "headers": headers, "content": content}


def _serving_error(description: str) -> Json:
    return {"description": description, "content": {"application/json": {"schema": _ref("TensorFlowServingError")}}}


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _parameter(name: str, description: str, schema: Json, example: Any) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


_NAME = _parameter("name", "Name of the model.", {"type": "string", "pattern": NAME_PATTERN}, "my_model")
_VERSION = _parameter("version", "Number of the version.", {"type": "integer", "minimum": 1}, 1)
_LABEL = _parameter("label", "Alias of a version.", {"type": "string", "pattern": NAME_PATTERN}, "production")
_VERSION_HEADER: Json = {
    "Fitserve-Model-Version": {
        "description": "Number of the version that answered.",
        "schema": {"type": "integer"},
        "example": 1,
    }
}
_ERRORS = {
    400: "The request cannot be read at all.",
    404: "There is no such model or version.",
    413: "The body is over the limit.",
    415: "The body is of a type or encoding that this operation does not read.",
    429: "Too many large predictions are waiting; try again after `Retry-After` seconds.",
    503: "The version cannot answer here; the reason is given.",
}
_ROW: Json = {
    "description": "A row: an object of raw columns by name, or a list in their order; for array models nested lists, and with "
    "several arrays an object of them by the name of the input.",
    "anyOf": [{"type": "object"}, {"type": "array", "items": {}}, {"type": "number"}],
}
_TENSOR: Json = {
    "anyOf": [{"type": "array", "items": {}}, {"type": "object"}],
}
_NATIVE_EXAMPLES: Json = {
    "table": {"summary": "Rows of a table", "value": {"rows": ROWS_EXAMPLE}},
    "columns": {"summary": "Rows with the names of the columns", "value": {"rows": FLATS_EXAMPLE}},
    "arrays": {"summary": "Rows of several arrays, by input", "value": {"rows": PAIRS_EXAMPLE}},
}
_NATIVE_ANSWERS: Json = {
    "classes": {
        "summary": "A class for each row",
        "value": {
            "model": "my_model",
            "version": 1,
            "predictions": [
                {"label": "setosa", "probabilities": {"setosa": 0.97, "virginica": 0.03}},
                {"label": "virginica", "probabilities": {"setosa": 0.02, "virginica": 0.98}},
            ],
            "warnings": [],
        },
    },
    "outputs": {
        "summary": "Several outputs",
        "value": {
            "model": "flats",
            "version": 1,
            "predictions": [
                {
                    "outputs": {
                        "price": {"value": 17.56},
                        "dear": {"label": "dear", "probabilities": {"cheap": 0.303, "dear": 0.697}},
                    }
                }
            ],
            "warnings": [],
        },
    },
}
_SCHEMAS: Json = {
    "PredictRequest": {
        "description": "Rows to predict, and optionally which version shall answer.",
        "type": "object",
        "additionalProperties": False,
        "required": ["rows"],
        "properties": {
            "rows": {"description": "The rows, at least one.", "type": "array", "minItems": 1, "items": _ROW},
            "version": {
                "description": "Number of the version to ask; not together with `alias`.",
                "type": "integer",
                "minimum": 1,
            },
            "alias": {
                "description": "Alias of the version to ask; not together with `version`.",
                "type": "string",
                "pattern": NAME_PATTERN,
            },
        },
    },
    "Prediction": {
        "description": "The answer to one row: a `value`, a `label` or `labels` with all probabilities, or `outputs`.",
        "type": "object",
        "properties": {
            "value": {
                "description": "The predicted number; a list where the output has several units, or an object by column where "
                "the target is several columns."
            },
            "label": {"description": "The most probable class."},
            "labels": {
                "description": "Where several may be true at once: those with a probability from 0.5 on.",
                "type": "array",
            },
            "probabilities": {"description": "Probability of every class, from 0 to 1.", "type": "object"},
            "outputs": {
                "description": "Of a model with several outputs: the answer of each, by its name, and nothing beside it.",
                "type": "object",
                "additionalProperties": _ref("Prediction"),
            },
        },
    },
    "PredictAnswer": {
        "description": "The predictions, and which version made them.",
        "type": "object",
        "required": ["model", "version", "predictions", "warnings"],
        "properties": {
            "model": {"description": "Name of the model.", "type": "string"},
            "version": {"description": "Number of the version that answered.", "type": "integer"},
            "predictions": {
                "description": "One entry per row, in the order of the rows.",
                "type": "array",
                "items": _ref("Prediction"),
            },
            "warnings": {
                "description": "What was noticed in the rows, in plain words.",
                "type": "array",
                "items": {"type": "string"},
            },
        },
    },
    "TensorFlowServingRequest": {
        "description": "Either `instances` (rows) or `inputs` (columns).",
        "type": "object",
        "properties": {
            "signature_name": {"description": "Always `serving_default`; may be left out.", "type": "string"},
            "instances": {"description": "The rows, at least one.", "type": "array", "minItems": 1, "items": _ROW},
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
    "TensorFlowServingError": {
        "description": "An error in TensorFlow Serving's form.",
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"description": "What went wrong.", "type": "string"}},
        "example": {"error": "There is no model 'my_model'."},
    },
}
