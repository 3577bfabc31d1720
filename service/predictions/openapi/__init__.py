"""The prediction operations in the OpenAPI document, written by hand, since no web framework knows their routes."""

from service.predictions.openapi import native, open_inference, tensorflow_serving
from service.predictions.openapi.parts import SCHEMAS, Json


def add_prediction_paths(document: Json) -> None:
    """Add the operations and their schemas to an OpenAPI document, in place."""
    paths: Json = document.setdefault("paths", {})
    schemas: Json = document.setdefault("components", {}).setdefault("schemas", {})
    for path, method, operation in (*native.operations(), *tensorflow_serving.operations(), *open_inference.operations()):
        paths.setdefault(path, {})[method] = operation
    for described in (SCHEMAS, native.SCHEMAS, tensorflow_serving.SCHEMAS, open_inference.SCHEMAS):
        schemas.update(described)
