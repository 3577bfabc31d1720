from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.predictions.app import PredictionApp
from service.predictions.openapi import add_prediction_paths
from service.predictions.openapi.parts import COLUMNS_EXAMPLE
from tests.fakes.versions import FakeVersions

TABLE_EXAMPLES = ("table", "table_by_column", "bytes")


@pytest.fixture
def document() -> dict[str, Any]:
    document: dict[str, Any] = {"components": {"schemas": {"ProblemDocument": {"description": "An error."}}}}
    add_prediction_paths(document)
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_the_document_has_the_routes_of_the_application_and_no_others(app: PredictionApp, document: dict[str, Any]) -> None:
    assert sorted((method, path) for method, path, _ in operations(document)) == sorted(app.routes)


def examples_of(operation: dict[str, Any]) -> list[Any]:
    """Bodies for a model of a table of four columns; None where the operation takes none."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    named = [example["value"] for name, example in content.get("examples", {}).items() if name in TABLE_EXAMPLES]
    return named or [content.get("example")]


@pytest.mark.anyio
async def test_every_documented_operation_answers_its_examples(
    client: httpx.AsyncClient, versions: FakeVersions, document: dict[str, Any]
) -> None:
    columns = [{"type": "number", "column": name, "missing": 0, "offset": 0, "divisor": 1} for name in COLUMNS_EXAMPLE]
    target = {"output": "y0", "columns": ["y"], "encoding": "number"}
    plan = {"inputs": [{"kind": "table", "name": "x", "columns": columns}], "targets": [target]}
    versions.publish(plan=plan, weights=[[1.0]] * 4, example={"rows": [[0, 0, 0, 0]]})
    versions.aliases["my_model", "production"] = 1

    for method, path, operation in operations(document):
        address = path.format(
            **{parameter["name"]: parameter["example"] for parameter in operation["parameters"] if parameter["required"]}
        )
        for body in examples_of(operation):
            answer = await client.request(method, address, json=body)
            assert answer.status_code == 200, (method, path, body, answer.text)


def test_inference_is_described_as_json_and_as_bytes(document: dict[str, Any]) -> None:
    for path in ("/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"):
        operation = document["paths"][path]["post"]
        headers = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"}
        for side in (operation["requestBody"], operation["responses"]["200"]):
            assert side["content"].keys() == {"application/json", "application/octet-stream"}
        assert headers == {"Inference-Header-Content-Length"}
        assert "Inference-Header-Content-Length" in operation["responses"]["200"]["headers"]


def test_every_operation_parameter_and_field_is_described(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        assert operation["description"], path
        assert operation["operationId"], path
        assert all(parameter["description"] for parameter in operation["parameters"])
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name
        assert all(field["description"] for field in schema.get("properties", {}).values()), name


def test_operation_ids_are_unique_and_references_lead_somewhere(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for *_, operation in operations(document)]

    assert len(ids) == len(set(ids))
    assert {reference.rpartition("/")[2] for reference in references(document)} <= set(document["components"]["schemas"])


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from references(child)
