import gzip
import json
import zlib
from typing import Any

import httpx
import numpy as np
import pytest

from service.predictions.protocols.tensorflow_serving.reading import parse_lenient
from tests.fakes.versions import TABLE_PLAN, FakeVersions, sigmoid

pytestmark = pytest.mark.anyio
PATH = "/v1/models/my_model:predict"


async def test_rows_of_a_single_unit_come_as_lists(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish(weights=[[1.0], [2.0]])

    answer = await client.post(PATH, json={"signature_name": "serving_default", "instances": [[1.0, 0.0], [0.0, 1.0]]})

    assert answer.status_code == 200
    assert answer.json().keys() == {"predictions"}
    assert np.allclose(answer.json()["predictions"], sigmoid([[1], [2]]), atol=1e-6)


@pytest.mark.parametrize("inputs", [[[1.0, 0.0], [0.0, 1.0]], {"x": [[1.0, 0.0], [0.0, 1.0]]}])
async def test_columns_are_answered_as_outputs(client: httpx.AsyncClient, versions: FakeVersions, inputs: Any) -> None:
    versions.publish(weights=[[1.0], [2.0]])

    answer = await client.post(PATH, json={"inputs": inputs})

    assert np.allclose(answer.json()["outputs"], sigmoid([[1], [2]]), atol=1e-6)


async def test_a_row_may_be_an_object_with_the_name_of_the_input(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()

    answer = await client.post(PATH, json={"instances": [{"x": [0.0, 0.0]}]})

    assert answer.json() == {"predictions": [[0.5]]}


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"age": 1, "height": 2}, [3, 4]]},
        {"inputs": {"age": [1, 3], "height": [2, 4]}},
        {"inputs": {"age": [[1], [3]], "height": [[2], [4]]}},
    ],
)
async def test_a_table_model_takes_raw_columns(client: httpx.AsyncClient, versions: FakeVersions, body: Any) -> None:
    versions.publish(plan=TABLE_PLAN, weights=[[0.1], [0.2]])

    (result,) = (await client.post(PATH, json=body)).json().values()

    assert np.allclose(result, sigmoid([[0.5], [1.1]]), atol=1e-6)


async def test_several_outputs_have_names(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish(output_count=2)

    by_row = await client.post(PATH, json={"instances": [[0, 0], [0, 0]]})
    by_column = await client.post(PATH, json={"inputs": [[0, 0]]})

    assert by_row.json() == {"predictions": [{"y0": [0.5], "y1": [0.5]}] * 2}
    assert by_column.json() == {"outputs": {"y0": [[0.5]], "y1": [[0.5]]}}


async def test_whole_floats_keep_their_point(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish(weights=[[1000.0], [0.0]])

    answer = await client.post(PATH, json={"instances": [[1, 0]]})

    assert answer.content == b'{"predictions":[[1.0]]}'


async def test_outputs_that_are_not_finite_are_bare_names(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish(weights=[[float("nan")], [0.0]])

    answer = await client.post(PATH, json={"instances": [[1, 0]]})

    assert answer.content == b'{"predictions": [[NaN]]}'


@pytest.mark.parametrize("selector", ["/versions/1", "/labels/production"])
async def test_versions_and_labels_choose(client: httpx.AsyncClient, versions: FakeVersions, selector: str) -> None:
    versions.publish()
    versions.publish(weights=[[3.0], [4.0]])
    versions.aliases["my_model", "production"] = 1

    answer = await client.post(f"/v1/models/my_model{selector}:predict", json={"instances": [[0, 0]]})

    assert answer.headers["fitserve-model-version"] == "1"


async def test_the_status_names_the_version_as_text(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()

    answer = await client.get("/v1/models/my_model")

    assert answer.json() == {
        "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]
    }


async def test_the_status_of_a_version_that_needs_keras_gives_the_reason(
    client: httpx.AsyncClient, versions: FakeVersions
) -> None:
    versions.publish(engine="keras", reason="No ONNX.", onnx_sha256=None)

    answer = await client.get("/v1/models/my_model")

    (entry,) = answer.json()["model_version_status"]
    assert (entry["state"], entry["status"]["error_message"]) == ("END", "No ONNX.")


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda body: zlib.compress(body, wbits=-15))],
)
async def test_compressed_bodies_are_read(
    client: httpx.AsyncClient, versions: FakeVersions, encoding: str, compress: Any
) -> None:
    versions.publish()

    body = compress(b'{"instances": [[0, 0]]}')
    answer = await client.post(PATH, content=body, headers={"content-encoding": encoding})

    assert answer.json() == {"predictions": [[0.5]]}


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", gzip.compress(b" " * 50_000_000), 413),
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(b'{"instances": [[0, 0]]}')[:-4], 400),
        ("deflate", b"", 400),
        ("br", b"{}", 415),
    ],
    ids=["bomb", "other bytes", "truncated", "empty", "unknown"],
)
async def test_compressed_bodies_that_cannot_be_read_are_refused(
    client: httpx.AsyncClient, versions: FakeVersions, encoding: str, body: bytes, status: int
) -> None:
    versions.publish()

    answer = await client.post(PATH, content=body, headers={"content-encoding": encoding})

    assert (answer.status_code, list(answer.json())) == (status, ["error"])


async def test_content_type_unknown_fields_and_repeated_keys_do_not_matter(
    client: httpx.AsyncClient, versions: FakeVersions
) -> None:
    versions.publish()

    answer = await client.post(
        PATH,
        content=b'{"instances": [[1]], "instances": [[0, 0]], "unknown": 1}',
        headers={"content-type": "text/plain"},
    )

    assert answer.json() == {"predictions": [[0.5]]}


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        {"instances": []},
        {"instances": {}},
        {"instances": 5},
        {"instances": [[0, 0]], "inputs": [[0, 0]]},
        {"instances": [[0, 0]], "signature_name": "other"},
        {"instances": [[0, 0]], "signature_name": ["serving_default"]},
        {"instances": [[0, 0, 0]]},
        {"instances": [[0, 0], [0]]},
        {"instances": [["a", "\ud800"]]},
        {"instances": [[None, 0]]},
        {"instances": [[True, 0]]},
        {"instances": [{"z": [0, 0]}]},
        {"instances": [{"x": [0, 0], "z": 1}]},
        {"instances": [[0, 0]] * 1001},
        {"inputs": []},
        {"inputs": 5},
        {"inputs": {"z": [[0, 0]]}},
    ],
)
async def test_a_mistake_in_the_body_is_a_400(client: httpx.AsyncClient, versions: FakeVersions, document: Any) -> None:
    versions.publish()

    answer = await client.post(PATH, content=json.dumps(document))

    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert answer.json()["error"]


@pytest.mark.parametrize("inputs", [[[1, 2]], {"age": [1, 2], "height": [1]}, {"age": 1, "height": 2}, {}, {"age": []}])
async def test_columns_of_a_table_must_be_lists_of_one_length(
    client: httpx.AsyncClient, versions: FakeVersions, inputs: Any
) -> None:
    versions.publish(plan=TABLE_PLAN)

    answer = await client.post(PATH, json={"inputs": inputs})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"instances": [[' + b"1" * 5000 + b"]]}",
        '{"instances": [[0, 0]]}'.encode("utf-16"),
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_what_is_no_json_is_a_400(client: httpx.AsyncClient, versions: FakeVersions, body: bytes) -> None:
    versions.publish()

    answer = await client.post(PATH, content=body)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("JSON Parse error")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v1/other", 404),
        ("POST", "/v1/models/missing:predict", 404),
        ("GET", "/v1/models/missing", 404),
        ("GET", "/v1/models/<script>", 404),
        ("POST", "/v1/models/my_model/versions/2:predict", 404),
        ("POST", "/v1/models/my_model/versions/99999999999999999999:predict", 404),
        ("POST", "/v1/models/my_model/versions/one:predict", 400),
        ("GET", "/v1/models/my_model/versions/-1", 400),
        ("GET", "/v1/models/my_model/versions/²", 400),
        ("GET", "/v1/models/my_model/versions/", 400),
        ("POST", "/v1/models/my_model/labels/missing:predict", 400),
        ("POST", "/v1/models/my_model/labels/..%2f:predict", 400),
        ("GET", "/v1/models/my_model:predict", 400),
        ("POST", "/v1/models/my_model", 400),
        ("POST", "/v1/models/my_model:unknown", 400),
        ("POST", "/v1/models/my_model/a/b/c", 400),
        ("GET", "/v1/models/", 400),
        ("PUT", "/v1/models/my_model:predict", 405),
        ("DELETE", "/v1/models/my_model", 405),
    ],
)
async def test_errors_of_paths_and_methods_have_the_same_form(
    client: httpx.AsyncClient, versions: FakeVersions, method: str, path: str, status: int
) -> None:
    versions.publish()

    answer = await client.request(method, path, json={"instances": [[0, 0]]})

    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_bare_names_of_numbers_that_are_not_finite_are_read() -> None:
    document = parse_lenient(b'{"instances": [[NaN, Infinity, -Infinity]]}')

    assert np.array_equal(document["instances"], [[np.nan, np.inf, -np.inf]], equal_nan=True)
