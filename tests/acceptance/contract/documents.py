"""The OpenAPI document as Schemathesis gets it: small enough for a test, or with bodies that are accepted."""

import copy
import json
import random
from collections.abc import Mapping
from typing import Any

from tests.acceptance.contract.link_story import Fitted

Json = dict[str, Any]
MANY = 8
"""A union of more classes is a family of Keras's: layers, losses, metrics, optimizers, initializers."""


EXAMPLES = {"dataset": "ds_01a20b40037677bf83159b06b0d2da20", "run": "run_01a20b40052676958af2ee9e1501afa3"}
"""Ids that the document's examples have, each of a field of what was fitted."""


def about(fitted: Fitted, document: Json) -> Json:
    """Let the examples be about a run that there is, and about its dataset."""
    written = json.dumps(document)
    for field, example in EXAMPLES.items():
        assert example in written, example
        written = written.replace(example, getattr(fitted, field))
    real: Json = json.loads(written)
    return real


def without_options(document: Json) -> Json:
    """Leave out parameters that need not be given: the examples of all of them together contradict each other."""
    plain = copy.deepcopy(document)
    for methods in plain["paths"].values():
        for operation in methods.values():
            parameters = operation.get("parameters", [])
            operation["parameters"] = [parameter for parameter in parameters if parameter["required"]]
    return plain


def with_few_classes(document: Json, seed: int) -> Json:
    """Leave one class of every family, another one for another seed.

    With all of them a body can be varied in millions of ways, since layers hold layers; every class is posted by itself in
    the tests of the catalogue.
    """
    chosen = random.Random(seed)
    thinned = copy.deepcopy(document)
    for schema in thinned["components"]["schemas"].values():
        for union in [schema, *schema.get("anyOf", [])]:
            if len(union.get("oneOf", [])) > MANY:
                union["oneOf"] = [chosen.choice(union["oneOf"])]
                del union["discriminator"]
    return thinned


def with_bodies(document: Json, bodies: Mapping[str, Json]) -> Json:
    """Say of every operation that takes a body that it takes this one alone, but for a new model's name."""
    fixed = copy.deepcopy(document)
    for methods in fixed["paths"].values():
        for operation in methods.values():
            if "requestBody" in operation:
                content = {"application/json": {"schema": _schema_of(operation["operationId"], bodies)}}
                operation["requestBody"] = {"required": True, "content": content}
    return fixed


def _schema_of(operation_id: str, bodies: Mapping[str, Json]) -> Json:
    parts = {name: {"const": value} for name, value in bodies[operation_id].items()}
    if operation_id == "create_model":
        parts["name"] = {"type": "string", "pattern": "^[a-z]{12,20}$"}
    return {"type": "object", "required": list(parts), "additionalProperties": False, "properties": parts}


def only(document: Json, operation_ids: set[str]) -> Json:
    """Leave out all other operations."""
    chosen = copy.deepcopy(document)
    for path, methods in document["paths"].items():
        kept = {method: chosen["paths"][path][method] for method, one in methods.items() if one["operationId"] in operation_ids}
        chosen["paths"][path] = kept
    return chosen


def labels_of(document: Json) -> set[str]:
    """Method and path of every operation that is to be told something."""
    return {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get("parameters") or "requestBody" in operation
    }
