"""What belongs to another workspace does not exist: every operation of the OpenAPI document, tried with foreign ids."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.infra.database import Database
from service.main import describe
from service.models import repository as models
from service.models.tables import Alias, Version
from service.workspaces import service
from service.workspaces.tables import DEFAULT_WORKSPACE_ID
from tests.factories import bearer, make_key, new_run
from tests.fakes.versions import ARRAY_PLAN

ASKS_FOR_NOTHING_FOREIGN = {
    "GET /api/batch-predictions",
    "GET /api/datasets",
    "POST /api/datasets",
    "GET /api/keys",
    "POST /api/keys",
    "GET /api/models",
    "POST /api/models",
    "GET /api/runs",
    "GET /api/usage",
    "GET /api/workers",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
    "GET /v2",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "POST /v2/repository/index",
}
"""Operations that name nothing: they list or make what is the caller's own, or tell of the server."""
MODEL = "my_model"
"""The name in the examples of the document, which the requests here are made of."""

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return describe()


@pytest.fixture
def owner(database: Database) -> str:
    return make_key(database, "owners")


@pytest.fixture
def stranger(database: Database) -> str:
    return make_key(database, "strangers")


@pytest.fixture
def belongings(http: httpx.Client, database: Database, owner: str, document: dict[str, Any]) -> dict[str, str]:
    """A dataset, a model with a version and an alias, a run and a key, all of the owner; what the places of a path stand for."""
    headers = bearer(owner)
    dataset = http.post("/api/datasets", json={"name": "d", "x": [[0], [1]], "y": [0, 1]}, headers=headers).raise_for_status()
    model = example_of(document, "/api/models", "post")
    http.post("/api/models", json=model, headers=headers).raise_for_status()
    key = http.get("/api/keys", headers=headers).json()["items"][0]
    with database.write() as session:
        workspace_id = service.workspace_named(session, "owners").id
        run = new_run(session, workspace_id=workspace_id, model=MODEL, dataset_id=dataset.json()["id"])
        session.flush()
        publish(session, workspace_id, run.id)
        return {
            "dataset_id": dataset.json()["id"],
            "run_id": run.id,
            "key_id": key["id"],
            "name": MODEL,
            "version": "1",
            "alias": "production",
            "label": "production",
        }


def publish(session: Any, workspace_id: str, run_id: str) -> None:
    model = models.get(session, workspace_id, MODEL)
    session.add(
        Version(
            model_id=model.id,
            number=1,
            run_id=run_id,
            revision=1,
            engine="onnx",
            metrics={"loss": 0.5},
            parity={"agrees": True, "max_abs_difference": 0.0, "rows": 2},
            plan=ARRAY_PLAN,
            inputs=[],
            outputs=[],
            example={"rows": [[0, 0]]},
            parameters=3,
            files={},
        )
    )
    session.flush()
    session.add(Alias(model_id=model.id, name="production", number=1))


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def example_of(document: dict[str, Any], path: str, method: str) -> Any:
    """A body that the document shows for an operation; None where it takes none."""
    content = document["paths"][path][method].get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    if "examples" in content:
        return next(iter(content["examples"].values()))["value"]
    if "example" in content:
        return content["example"]
    schema = next(part for part in [content["schema"], *content["schema"].get("anyOf", [])] if "$ref" in part)
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["examples"][0]


def request_of(document: dict[str, Any], operation: Operation, ids: dict[str, str]) -> tuple[str, str, Any]:
    """Method, address and body of a request that names these ids wherever it can name any."""
    method, path, _ = operation
    body = example_of(document, path, method.lower())
    text = re.sub(r'"ds_\w+"', f'"{ids["dataset_id"]}"', json.dumps(body))
    text = re.sub(r'"run_\w+"', f'"{ids["run_id"]}"', text)
    if path == "/api/models:check":
        text = json.dumps(body | {"dataset": ids["dataset_id"]})
    return method, re.sub(r"\{(\w+)\}", lambda place: ids[place[1]], path), json.loads(text)


def test_no_operation_finds_what_belongs_to_another_workspace(
    http: httpx.Client, document: dict[str, Any], belongings: dict[str, str], owner: str, stranger: str
) -> None:
    before = everything_of(http, owner)
    tried = [operation for operation in operations(document) if f"{operation[0]} {operation[1]}" not in ASKS_FOR_NOTHING_FOREIGN]
    answers = {}
    for operation in tried:
        method, address, body = request_of(document, operation, belongings)
        answer = http.request(method, address, json=body, headers=bearer(stranger))
        answers[f"{method} {operation[1]}"] = answer.status_code

    assert len(answers) > 35
    assert {place: status for place, status in answers.items() if status != 404} == {}
    assert everything_of(http, owner) == before


STANDING = ("id", "name", "version", "state", "revision", "aliases", "revoked_at")
"""What says of a listed item that nobody has changed or ended it; a run also tells how long it has been waiting."""


def everything_of(http: httpx.Client, key: str) -> list[Any]:
    """How all that the owner of this key has stands."""
    paths = ("/api/datasets", "/api/models", f"/api/models/{MODEL}/versions", "/api/runs", "/api/keys")
    lists = [http.get(path, headers=bearer(key)).raise_for_status().json()["items"] for path in paths]
    return [{name: item.get(name) for name in STANDING} for items in lists for item in items]


def test_the_owner_finds_what_the_stranger_does_not(
    http: httpx.Client, document: dict[str, Any], belongings: dict[str, str], owner: str
) -> None:
    for path in (
        "/api/datasets/{dataset_id}",
        "/api/datasets/{dataset_id}/rows",
        "/api/datasets/{dataset_id}/content",
        "/api/models/{name}",
        "/api/models/{name}/versions/{version}",
        "/api/runs/{run_id}",
        "/api/runs/{run_id}/metrics",
        "/api/runs/{run_id}/artifacts",
        "/api/keys/{key_id}",
    ):
        _, address, _ = request_of(document, ("GET", path, {}), belongings)
        assert http.get(address, headers=bearer(owner)).status_code == 200, path


@pytest.mark.usefixtures("belongings")
@pytest.mark.parametrize("path", ["/api/datasets", "/api/models", "/api/runs"])
def test_lists_hold_only_what_is_of_the_workspace(http: httpx.Client, path: str, owner: str, stranger: str) -> None:
    assert len(http.get(path, headers=bearer(owner)).json()["items"]) == 1
    assert http.get(path, headers=bearer(stranger)).json()["items"] == []


@pytest.mark.usefixtures("belongings")
def test_a_stranger_lists_its_own_key_and_no_version(http: httpx.Client, stranger: str) -> None:
    keys = http.get("/api/keys", headers=bearer(stranger)).json()["items"]

    assert [key["prefix"] for key in keys] == [stranger[:15]]
    assert http.post("/v2/repository/index", json={}, headers=bearer(stranger)).json() == []


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/api/runs", {"dataset": "dataset_id"}),
        ("/api/runs", {"test_dataset": "dataset_id"}),
        ("/api/runs", {"fit": {"epochs": 1, "validation_dataset": "dataset_id"}}),
        ("/api/runs", {"continue_from": {"run": "run_id"}}),
        ("/api/evaluations", {"dataset": "dataset_id"}),
        ("/api/batch-predictions", {"dataset": "dataset_id"}),
    ],
)
def test_a_request_about_own_things_cannot_bring_in_foreign_ones(
    http: httpx.Client,
    document: dict[str, Any],
    belongings: dict[str, str],
    stranger: str,
    path: str,
    place: dict[str, Any],
) -> None:
    headers = bearer(stranger)
    http.post("/api/models", json=example_of(document, "/api/models", "post"), headers=headers).raise_for_status()
    own = http.post("/api/datasets", json={"name": "d", "x": [[0], [1]], "y": [0, 1]}, headers=headers).raise_for_status().json()
    text = json.dumps(place)
    for name in ("dataset_id", "run_id"):
        text = text.replace(f'"{name}"', f'"{belongings[name]}"')
    fit = {"fit": {"epochs": 1}} if path == "/api/runs" else {}

    answer = http.post(path, json={"model": MODEL, "dataset": own["id"]} | fit | json.loads(text), headers=headers)

    assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")
    assert (belongings["run_id"] if "run_id" in str(place) else belongings["dataset_id"]) in answer.json()["detail"]


@pytest.mark.usefixtures("belongings")
def test_two_workspaces_may_use_the_same_name(http: httpx.Client, document: dict[str, Any], stranger: str) -> None:
    model = example_of(document, "/api/models", "post")

    assert http.post("/api/models", json=model, headers=bearer(stranger)).status_code == 201


def test_what_was_there_before_the_first_key_is_in_the_workspace_default(http: httpx.Client, database: Database) -> None:
    dataset = http.post("/api/datasets", json={"name": "d", "x": [[0], [1]], "y": [0, 1]}).raise_for_status().json()
    key = make_key(database, "default")

    assert http.get(f"/api/datasets/{dataset['id']}", headers=bearer(key)).status_code == 200
    with database.read() as session:
        assert service.workspace_named(session, "default").id == DEFAULT_WORKSPACE_ID
