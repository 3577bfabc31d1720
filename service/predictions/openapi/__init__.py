"""The prediction operations in the OpenAPI document, written by hand, since no web framework knows their routes."""

from service.predictions.openapi import native, open_inference, tensorflow_serving
from service.predictions.openapi.parts import SCHEMAS, Json, problem_errors, sentence_errors
from service.web.refusals import PREDICTION_PROTOCOLS


def add_prediction_paths(document: Json) -> None:
    """Add the operations and their schemas to an OpenAPI document, in place."""
    paths: Json = document.setdefault("paths", {})
    schemas: Json = document.setdefault("components", {}).setdefault("schemas", {})
    for path, method, operation in (*native.operations(), *tensorflow_serving.operations(), *open_inference.operations()):
        paths.setdefault(path, {})[method] = operation
    for described in (SCHEMAS, native.SCHEMAS, tensorflow_serving.SCHEMAS, open_inference.SCHEMAS):
        schemas.update(described)


def refusals_of(path: str) -> Json:
    """The answers of an operation to a key that is missing or does not allow it, or too often, in the form of its protocol."""
    errors = sentence_errors if path.startswith(PREDICTION_PROTOCOLS) else problem_errors
    return errors((401, 403, 429))
