"""Describes Fitserve's own predictions."""

from typing import Any

from service.predictions.openapi.parts import (
    ERRORS,
    FLATS_EXAMPLE,
    NAME,
    NAME_PATTERN,
    PAIRS_EXAMPLE,
    ROW,
    ROWS_EXAMPLE,
    SIZE_NOTE,
    VERSION_HEADER,
    Json,
    Operation,
    answer,
    body,
    json_of,
    operation,
    problem_errors,
    ref,
)
from service.predictions.protocols.native.media import CSV_TYPE, LINES_TYPE
from service.web.routing import problem_answer


def operations() -> list[Operation]:
    """The only operation."""
    return [("/api/models/{name}:predict", "post", _predict())]


def _predict() -> Json:
    predictions = json_of("PredictAnswer", examples=_ANSWERS) | _texts(_LINES_ANSWER, _CSV_ANSWER)
    responses = {
        "200": answer("One prediction per row, in the order of the rows.", predictions, VERSION_HEADER | _WARNINGS_HEADER),
        **problem_errors(ERRORS),
        "406": problem_answer(406, "`Accept` names none of the types that predictions come in."),
        "422": problem_answer(422, "The request was read, but something in it is wrong."),
    }
    return operation(
        "predict",
        "Predict",
        "Ask a trained model for its answer to each row. Rows may also be sent as JSON Lines or as CSV, and `Accept` chooses the "
        f"same forms for the predictions; without it they come as they were asked for. {SIZE_NOTE}",
        [NAME, *_SELECTORS],
        requestBody=body("The rows to predict.", json_of("PredictRequest", examples=_EXAMPLES) | _texts(_LINES, _CSV)),
        responses=responses,
    )


def _texts(lines: str, table: str) -> Json:
    """The content of the media types that are no JSON."""
    return {
        LINES_TYPE: {"schema": {"type": "string", "description": "A line of JSON for each row."}, "example": lines},
        CSV_TYPE: {"schema": {"type": "string", "description": "A header line, then a line for each row."}, "example": table},
    }


def _query(name: str, description: str, schema: Json, example: Any) -> Json:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {**schema, "examples": [example]},
    }


_SELECTORS = [
    _query("version", "Number of the version to ask, where the body names none.", {"type": "integer", "minimum": 1}, 1),
    _query("alias", "Alias of the version to ask, likewise.", {"type": "string", "pattern": NAME_PATTERN}, "production"),
]
_WARNINGS_HEADER: Json = {
    "Fitserve-Warnings": {
        "description": "The first warnings as a JSON list, where the answer is no JSON.",
        "schema": {"type": "string"},
    }
}
_LINES = "[5.1, 3.5, 1.4, 0.2]\n[6.7, 3.0, 5.2, 2.3]\n"
_CSV = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"
_LINES_ANSWER = (
    '{"label": "setosa", "probabilities": {"setosa": 0.97, "virginica": 0.03}}\n'
    '{"label": "virginica", "probabilities": {"setosa": 0.02, "virginica": 0.98}}\n'
)
_CSV_ANSWER = "label,probability_setosa,probability_virginica\nsetosa,0.97,0.03\nvirginica,0.02,0.98\n"


_EXAMPLES: Json = {
    "table": {"summary": "Rows of a table", "value": {"rows": ROWS_EXAMPLE}},
    "columns": {"summary": "Rows with the names of the columns", "value": {"rows": FLATS_EXAMPLE}},
    "arrays": {"summary": "Rows of several arrays, by input", "value": {"rows": PAIRS_EXAMPLE}},
}
_ANSWERS: Json = {
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
SCHEMAS: Json = {
    "PredictRequest": {
        "description": "Rows to predict, and optionally which version shall answer.",
        "type": "object",
        "additionalProperties": False,
        "required": ["rows"],
        "properties": {
            "rows": {"description": "The rows, at least one.", "type": "array", "minItems": 1, "items": ROW},
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
                "additionalProperties": ref("Prediction"),
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
                "items": ref("Prediction"),
            },
            "warnings": {
                "description": "What was noticed in the rows, in plain words.",
                "type": "array",
                "items": {"type": "string"},
            },
        },
    },
}
