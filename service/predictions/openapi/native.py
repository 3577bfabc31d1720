"""Describes Fitserve's own predictions."""

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
from service.web.routing import problem_answer


def operations() -> list[Operation]:
    """The only operation."""
    return [("/api/models/{name}:predict", "post", _predict())]


def _predict() -> Json:
    predictions = json_of("PredictAnswer", examples=_ANSWERS)
    responses = {
        "200": answer("One prediction per row, in the order of the rows.", predictions, VERSION_HEADER),
        **problem_errors(ERRORS),
        "422": problem_answer(422, "The request was read, but something in it is wrong."),
    }
    return operation(
        "predict",
        "Predict",
        f"Ask a trained model for its answer to each row. {SIZE_NOTE}",
        [NAME],
        requestBody=body("The rows to predict.", json_of("PredictRequest", examples=_EXAMPLES)),
        responses=responses,
    )


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
