import json
from typing import Any

import httpx
import numpy as np
import pytest

from tests.fakes.versions import TABLE_PLAN, FakeVersions, sigmoid

pytestmark = pytest.mark.anyio
PATH = "/api/models/my_model:predict"
JSON_TYPE = {"content-type": "application/json"}


async def test_rows_become_values_in_their_order(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish(weights=[[1.0], [2.0]])

    answer = await client.post(PATH, json={"rows": [[1, 0], [0, 1]]})

    document = answer.json()
    assert answer.status_code == 200
    assert answer.headers["fitserve-model-version"] == "1"
    assert (document["model"], document["version"], document["warnings"]) == ("my_model", 1, [])
    assert np.allclose([entry["value"] for entry in document["predictions"]], sigmoid([1, 2]), atol=1e-6)


async def test_a_table_model_takes_objects_and_lists(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish(plan=TABLE_PLAN)

    answer = await client.post(PATH, json={"rows": [{"height": 1, "age": 3}, [3, 1]]})

    first, second = answer.json()["predictions"]
    assert first == second


async def test_the_newest_version_answers_unless_another_is_named(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()
    versions.publish(weights=[[3.0], [4.0]])
    versions.aliases["my_model", "production"] = 1

    answers = [
        await client.post(PATH, json={"rows": [[0, 0]], **selector}) for selector in ({}, {"version": 1}, {"alias": "production"})
    ]

    assert [answer.json()["version"] for answer in answers] == [2, 1, 1]


async def test_the_alias_default_comes_before_the_newest_version(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()
    versions.publish(weights=[[3.0], [4.0]])
    versions.aliases["my_model", "default"] = 1

    answer = await client.post(PATH, json={"rows": [[0, 0]]})

    assert answer.json()["version"] == 1


async def test_the_request_id_of_the_client_comes_back(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()

    answer = await client.post(PATH, json={"rows": []}, headers={"x-request-id": "mine-1"})

    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine-1"


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({}, "/rows"),
        ({"rows": []}, "/rows"),
        ({"rows": None}, "/rows"),
        ({"rows": "text"}, "/rows"),
        ({"rows": {"age": 1}}, "/rows"),
        ({"rows": [[1, 2]] * 1001}, "/rows"),
        ({"rows": [[1, 2, 3]]}, "/rows/0"),
        ({"rows": [[1, 2], [1]]}, "/rows/1"),
        ({"rows": [["a", "b"]]}, "/rows/0"),
        ({"rows": [["1.5", 2]]}, "/rows/0"),
        ({"rows": [[True, 2]]}, "/rows/0"),
        ({"rows": [[[1, 2], [3, 4]]]}, "/rows/0"),
        ({"rows": [1, 2]}, "/rows/0"),
        ({"rows": [None]}, "/rows/0"),
        ({"rows": [[1, 2]], "version": 0}, "/version"),
        ({"rows": [[1, 2]], "version": True}, "/version"),
        ({"rows": [[1, 2]], "version": "1"}, "/version"),
        ({"rows": [[1, 2]], "version": 1.5}, "/version"),
        ({"rows": [[1, 2]], "version": 10**18}, "/version"),
        ({"rows": [[1, 2]], "alias": 3}, "/alias"),
        ({"rows": [[1, 2]], "alias": "../etc"}, "/alias"),
        ({"rows": [[1, 2]], "version": 1, "alias": "production"}, "/alias"),
        ({"rows": [[1, 2]], "instances": [[1, 2]]}, "/instances"),
        ([[1, 2]], ""),
        (None, ""),
        ("rows", ""),
    ],
)
async def test_a_mistake_is_named_with_its_place(
    client: httpx.AsyncClient, versions: FakeVersions, document: Any, pointer: str
) -> None:
    versions.publish()

    answer = await client.post(PATH, content=json.dumps(document), headers=JSON_TYPE)

    problem = answer.json()
    assert answer.status_code == problem["status"] == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["errors"][0]["pointer"].startswith(pointer)
    assert problem["errors"][0]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"rows": [[1, 2]]} x',
        b'{"rows": [[NaN, 2]]}',
        b'{"rows": [[-Infinity, 2]]}',
        b'{"rows": [[1e999, 2]]}',
        b'{"rows": [[' + b"1" * 5000 + b", 2]]}",
        b'{"rows": [["\\ud800", 2]]}',
        b'{"rows": [["\xff", 2]]}',
        '{"rows": [[1, 2]]}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"rows": [[1, 2]], "rows": [[3, 4]]}',
        b'{"rows": ' + b"[" * 500 + b"]" * 500 + b"}",
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_what_is_no_strict_json_is_refused(client: httpx.AsyncClient, versions: FakeVersions, body: bytes) -> None:
    versions.publish()

    answer = await client.post(PATH, content=body, headers=JSON_TYPE)

    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]
    assert len(answer.content) < 5000


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, {**JSON_TYPE, "content-encoding": "gzip"}])
async def test_another_type_of_body_is_refused(
    client: httpx.AsyncClient, versions: FakeVersions, headers: dict[str, str]
) -> None:
    versions.publish()

    answer = await client.post(PATH, content=b'{"rows": [[1, 2]]}', headers=headers)

    assert answer.status_code == 415


@pytest.mark.parametrize("name", ["missing", "%252e%252e", "..", "<script>", "a" * 64, "x%0a", "a%00b"])
async def test_an_unknown_or_impossible_name_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    path = httpx.URL("http://fitserve.test").copy_with(raw_path=f"/api/models/{name}:predict".encode())
    answer = await client.post(path, json={"rows": [[1, 2]]})

    assert answer.status_code == 404
    assert answer.json()["title"] == "Not Found"


async def test_another_method_is_refused_with_the_one_to_use(client: httpx.AsyncClient) -> None:
    answer = await client.get(PATH)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_version_whose_file_is_gone_is_unavailable(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()
    versions.artifacts.files.clear()

    answer = await client.post(PATH, json={"rows": [[1, 2]]})

    assert answer.status_code == 503
    assert answer.json()["detail"] == "Version 1 of model 'my_model' cannot be loaded."


async def test_outputs_that_are_not_finite_are_null_with_a_warning(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish(weights=[[float("nan")], [1.0]])

    answer = await client.post(PATH, json={"rows": [[1, 2]]})

    assert "not finite" in answer.json()["warnings"][0]
