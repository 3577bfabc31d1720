"""The OpenAPI document and the page that shows it."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from service.datasets.schemas import DatasetFromArrays, DatasetFromRows, DatasetRead
from service.main import create_app
from service.models.check_schemas import MISTAKEN_CHECK, ModelCheck, ModelCheckRead
from service.models.schemas import AliasWrite, ModelCreate, ModelRead, ModelReplace, VersionRead
from service.runs.result_schemas import RunMetrics
from service.runs.schemas import BatchPredictionCreate, CancelRequest, RunCreate, RunRead
from service.runs.weight_schemas import RunWeights
from service.settings import Settings
from service.spec.artifacts import MEDIA_TYPES
from service.web.links import LINKS
from service.web.routing import ProblemDocument
from service.workspaces.schemas import KeyCreate, KeyCreated, KeyRead

SCHEMAS_WITH_EXAMPLES = (
    AliasWrite,
    BatchPredictionCreate,
    CancelRequest,
    DatasetRead,
    KeyCreate,
    KeyCreated,
    KeyRead,
    ModelCheck,
    ModelCheckRead,
    ModelCreate,
    ModelRead,
    ModelReplace,
    ProblemDocument,
    RunCreate,
    RunMetrics,
    RunRead,
    RunWeights,
    VersionRead,
)
VERBS = {"cancel", "check", "create", "delete", "download", "list", "predict", "read", "replace", "set", "stream"}
JSON_ERRORS = ("/v1/", "/v2", "/livez", "/readyz")
"""Where errors are not problem documents: other servers' protocols have their own form, and probes tell of their parts."""


Get = Callable[[str], httpx.Response]


@pytest.fixture(scope="module")
def get(tmp_path_factory: pytest.TempPathFactory) -> Get:
    """Gets an address of an application that has not been started: nothing here needs a database."""
    transport = httpx.ASGITransport(create_app(Settings(data_dir=tmp_path_factory.mktemp("data"))))

    async def send(address: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://fitserve") as client:
            return await client.get(address)

    return lambda address: asyncio.run(send(address))


@pytest.fixture(scope="module")
def document(get: Get) -> dict[str, Any]:
    document: dict[str, Any] = get("/openapi.json").raise_for_status().json()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def parameters(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, operation in operations(document):
        for parameter in operation.get("parameters", []):
            yield f"{place} {parameter['name']}", parameter


def properties(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in document["components"]["schemas"].items():
        for field, definition in schema.get("properties", {}).items():
            yield f"{name}.{field}", definition


def test_every_operation_has_a_summary_and_a_sentence(document: dict[str, Any]) -> None:
    for place, operation in operations(document):
        assert operation["summary"], place
        assert operation["description"].endswith("."), place


def test_operation_ids_are_unique_and_begin_with_a_verb(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]

    assert len(ids) == len(set(ids))
    for operation_id in ids:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation_id), operation_id
        assert operation_id.partition("_")[0] in VERBS, operation_id


def test_every_operation_belongs_to_one_declared_tag(document: dict[str, Any]) -> None:
    declared = {tag["name"] for tag in document["tags"]}
    used = [operation["tags"] for _, operation in operations(document)]

    assert all(len(tags) == 1 for tags in used)
    assert {tags[0] for tags in used} == declared
    assert all(tag["description"] for tag in document["tags"])


def test_every_parameter_has_a_description_and_an_example(document: dict[str, Any]) -> None:
    for place, parameter in parameters(document):
        assert parameter["description"].endswith("."), place
        assert "example" in parameter or parameter["schema"].get("examples"), place


def test_every_schema_and_field_has_a_description(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name
    for place, field in properties(document):
        is_described_elsewhere = "$ref" in field or "const" in field  # the name of a Keras class explains itself
        assert field.get("description") or is_described_elsewhere, place


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for child in part.values():
                yield from references(child)
        elif isinstance(part, list):
            for child in part:
                yield from references(child)

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_errors_are_problem_documents(document: dict[str, Any]) -> None:
    problem = {"$ref": "#/components/schemas/ProblemDocument"}
    for place, operation in operations(document):
        errors = {status: answer for status, answer in operation["responses"].items() if int(status) >= 400}
        if not any(path in place for path in JSON_ERRORS):
            assert all(answer["content"].keys() == {"application/problem+json"} for answer in errors.values()), place
            contents = [answer["content"]["application/problem+json"] for answer in errors.values()]
            assert all(content["schema"] == problem for content in contents), place
        assert all(answer["description"] for answer in operation["responses"].values()), place


@pytest.mark.parametrize("schema", SCHEMAS_WITH_EXAMPLES)
def test_examples_are_valid_and_shown(document: dict[str, Any], schema: type[BaseModel]) -> None:
    examples = schema.model_json_schema()["examples"]  # FastAPI leaves nulls out of those in the document

    assert len(document["components"]["schemas"][schema.__name__]["examples"]) == len(examples)
    for example in examples:
        schema.model_validate_json(json.dumps(example))


def test_the_mistake_in_the_example_of_a_check_is_not_one_of_its_form(document: dict[str, Any]) -> None:
    examples = document["paths"]["/api/models:check"]["post"]["requestBody"]["content"]["application/json"]["examples"]

    assert examples["mistaken"]["value"] == MISTAKEN_CHECK
    ModelCheck.model_validate(MISTAKEN_CHECK)


def test_the_examples_of_an_upload_are_valid(document: dict[str, Any]) -> None:
    content = document["paths"]["/api/datasets"]["post"]["requestBody"]["content"]
    examples = content["application/json"]["examples"]

    DatasetFromRows.model_validate(examples["rows"]["value"])
    DatasetFromArrays.model_validate(examples["arrays"]["value"])
    assert content["multipart/form-data"]["schema"]["properties"]["file"]["description"]


def test_the_example_of_a_prediction_suits_the_example_of_an_upload(document: dict[str, Any]) -> None:
    def example_of(path: str) -> Any:
        return document["paths"][path]["post"]["requestBody"]["content"]["application/json"]

    table = example_of("/api/datasets")["examples"]["rows"]["value"]
    columns = [name for name in table["rows"][0] if name != table["target"]]

    for row in example_of("/api/models/{name}:predict")["examples"]["table"]["value"]["rows"]:
        assert len(row) == len(columns)


def test_the_page_runs_only_scripts_of_this_service(get: Get) -> None:
    page = get("/docs")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"


def test_the_page_and_its_script_name_no_other_address(get: Get) -> None:
    page, script = get("/docs").text, get("/docs/start.js").text

    assert not re.search(r"(https?:)?//\w", page + script)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert get(address).status_code == 200, address


def test_the_style_sheet_loads_nothing_from_elsewhere(get: Get) -> None:
    style = get("/docs/assets/swagger-ui.css").text

    assert not re.search(r"url\(\s*['\"]?(https?:)?//", style)
    assert "@import" not in style


def test_no_description_breaks_a_sentence_in_the_middle(document: dict[str, Any]) -> None:
    for place, field in [*document["components"]["schemas"].items(), *properties(document)]:
        assert not re.search(r"[^\n]\n[^\n-]", field.get("description", "")), place


def test_a_class_is_shown_by_the_name_that_clients_write(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["ActivationLayer"]["title"] == "Activation"
    assert schemas["MeanSquaredErrorMetric"]["title"] == "MeanSquaredError"


def test_the_page_offers_to_send_a_key_in_either_header(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]

    assert schemes["Bearer"]["scheme"] == "bearer"
    assert (schemes["ApiKey"]["in"], schemes["ApiKey"]["name"]) == ("header", "X-API-Key")
    assert document["security"] == [{"Bearer": []}, {"ApiKey": []}]


def test_every_operation_tells_how_it_refuses_a_key_or_that_it_needs_none(document: dict[str, Any]) -> None:
    open_to_all = {place for place, operation in operations(document) if operation.get("security") == []}

    assert open_to_all == {"GET /livez", "GET /readyz", "GET /v2/health/live", "GET /v2/health/ready"}
    for place, operation in operations(document):
        assert ({"401", "403"} <= operation["responses"].keys()) == (place not in open_to_all), place


def links(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Where each link is, the answer that has it, and the link."""
    for place, operation in operations(document):
        for status, answer in operation["responses"].items():
            for name, link in answer.get("links", {}).items():
                yield f"{place} {status} {name}", answer, link


def test_what_is_made_has_links_to_what_can_be_done_with_it(document: dict[str, Any]) -> None:
    linked = {operation["operationId"] for _, operation in operations(document) if links_of(operation)}
    makers = {
        operation["operationId"] for place, operation in operations(document) if place.startswith("POST") and made(operation)
    }

    assert makers <= linked
    assert all(name in linked for name in LINKS)


def made(operation: dict[str, Any]) -> bool:
    return bool({"201", "202"} & operation["responses"].keys())


def links_of(operation: dict[str, Any]) -> list[str]:
    return [name for answer in operation["responses"].values() for name in answer.get("links", {})]


def test_every_link_leads_to_an_operation_and_gives_what_that_takes(document: dict[str, Any]) -> None:
    by_id = {operation["operationId"]: operation for _, operation in operations(document)}

    for place, _, link in links(document):
        target = by_id[link["operationId"]]
        names = {parameter["name"] for parameter in target["parameters"]} if "parameters" in target else set()
        assert set(link.get("parameters", {})) <= names, place
        if "requestBody" in link:
            body = target["requestBody"]["content"]["application/json"]["schema"]
            assert all(set(link["requestBody"]) <= fields for fields in fields_of(document, body)), place


def test_no_operation_is_linked_twice_from_one_answer() -> None:
    for name, groups in LINKS.items():
        targets = [operation for group in groups for operation in group.operations]
        assert len(set(targets)) == len(targets), name


def test_every_link_takes_what_the_answer_has(document: dict[str, Any]) -> None:
    for place, answer, link in links(document):
        schema = answer["content"]["application/json"]["schema"]
        for expression in {**link.get("parameters", {}), **link.get("requestBody", {})}.values():
            if expression.startswith("$response.body#/"):
                field = expression.removeprefix("$response.body#/").split("/")[0]
                assert all(field in fields for fields in fields_of(document, schema)), place
            if expression.startswith("$response.header."):
                assert expression.removeprefix("$response.header.") in answer["headers"], place


def fields_of(document: dict[str, Any], schema: dict[str, Any]) -> list[set[str]]:
    """The fields of each form that a schema allows."""
    if "anyOf" in schema:
        return [fields for form in schema["anyOf"] for fields in fields_of(document, form)]
    named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return [set(named["properties"])]


def test_every_operation_of_the_control_plane_may_refuse_an_address_and_may_be_unable_to_answer(document: dict[str, Any]) -> None:
    for place, operation in operations(document):
        if " /api/" in place:
            assert {"400", "503"} <= operation["responses"].keys(), place


def test_a_download_has_the_media_type_of_one_of_its_files_or_comes_in_parts(document: dict[str, Any]) -> None:
    answers = document["paths"]["/api/runs/{run_id}/artifacts/{name}"]["get"]["responses"]

    assert answers["200"]["content"].keys() == set(MEDIA_TYPES.values())
    assert answers["206"]["content"].keys() == {*MEDIA_TYPES.values(), "multipart/byteranges"}
