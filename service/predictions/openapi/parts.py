"""What the descriptions of the prediction protocols share: parameters, errors, rows, and how an operation is written."""

from collections.abc import Iterable
from typing import Any

from service.web.routing import problem_answer

Json = dict[str, Any]
Operation = tuple[str, str, Json]
"""Path template, method in lower case, and what the document says of it."""

TAG = "predictions"
JSON_TYPE = "application/json"
NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
SIZE_NOTE = (
    "The example is for a model named `my_model` with four columns; a version's `example` "
    "(`GET /api/models/{name}/versions/{version}`) is a request for your own model."
)
ROWS_EXAMPLE = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
FLATS_EXAMPLE = [{"size": 7.8, "rooms": 2, "city": "Oslo", "about": "bright and quiet"}]
PAIRS_EXAMPLE = [{"left": [5.5, 5, 5], "right": [5, 5, 5]}]
COLUMNS_EXAMPLE = {
    "sepal_length": [5.1, 6.7],
    "sepal_width": [3.5, 3.0],
    "petal_length": [1.4, 5.2],
    "petal_width": [0.2, 2.3],
}
ERRORS = {
    400: "The request cannot be read at all.",
    401: "An API key is needed, and none that is valid has come.",
    403: "The API key does not have the scope that this needs.",
    404: "There is no such model or version.",
    413: "The body is over the limit.",
    415: "The body is of a type or encoding that this operation does not read.",
    429: "The workspace sends too much, or too many large predictions wait; try again after `Retry-After` seconds.",
    503: "The version cannot answer here, or not yet; the reason is given.",
    504: "The prediction took longer than it may.",
}
VERSION_HEADER: Json = {
    "Fitserve-Model-Version": {
        "description": "Number of the version that answered.",
        "schema": {"type": "integer"},
        "example": 1,
    }
}
ROW: Json = {
    "description": "A row: an object of raw columns by name, or a list in their order; for array models nested lists, and with "
    "several arrays an object of them by the name of the input.",
    "anyOf": [{"type": "object"}, {"type": "array", "items": {}}, {"type": "number"}],
}
SCHEMAS: Json = {
    "ErrorSentences": {
        "description": "An error under `/v1` and `/v2`, as the clients of these protocols expect it.",
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"description": "What is wrong, where, what was expected and how to mend it.", "type": "string"}},
        "example": {"error": "There is no model 'my_model'."},
    },
}


def ref(schema: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{schema}"}


def operation(operation_id: str, summary: str, description: str, parameters: list[Json], **more: Json) -> Json:
    """An operation of predictions; ``more`` are ``responses``, and ``requestBody`` where it takes one."""
    return {
        "tags": [TAG],
        "operationId": operation_id,
        "summary": summary,
        "description": description,
        "parameters": parameters,
        **more,
    }


def body(description: str, content: Json, is_required: bool = True) -> Json:
    """The body of a request, by media type."""
    return {"description": description, "required": is_required, "content": content}


def json_of(schema: str, **examples: Any) -> Json:
    """Content that is JSON of a schema, with its ``example`` or ``examples``."""
    return {JSON_TYPE: {"schema": ref(schema), **examples}}


def answer(description: str, content: Json, headers: Json | None = None) -> Json:
    """An answer by media type."""
    return {"description": description, **({"headers": headers} if headers else {}), "content": content}


def sentence_errors(statuses: Iterable[int]) -> Json:
    """The error answers of a protocol whose errors are ``{"error": message}``."""
    texts = ERRORS | {400: "The request cannot be read, or something in it is wrong."}
    return {
        str(status): answer(texts[status], json_of("ErrorSentences", example={"error": texts[status]})) for status in statuses
    }


def problem_errors(statuses: Iterable[int]) -> Json:
    """The error answers of an operation whose errors are problem documents."""
    return {str(status): problem_answer(status, ERRORS[status]) for status in statuses}


def path_parameter(name: str, description: str, schema: Json, example: Any) -> Json:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema, "example": example}


NAME = path_parameter("name", "Name of the model.", {"type": "string", "pattern": NAME_PATTERN}, "my_model")
VERSION_NUMBER = path_parameter("version", "Number of the version.", {"type": "integer", "minimum": 1}, 1)
LABEL = path_parameter("label", "Alias of a version.", {"type": "string", "pattern": NAME_PATTERN}, "production")
