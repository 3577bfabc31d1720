import gzip
import json
import zlib
from typing import Any

import httpx
import numpy as np
import pytest

from service.errors import Unavailable
from service.predictions.engines import Engines
from tests.fakes.versions import TABLE_PLAN, FakeVersions, sigmoid
from tests.unit.predictions.apps import app_of, client_of
from tests.unit.predictions.tensors import (
    DTYPES,
    KINDS_ROW,
    PATH,
    as_bytes,
    outputs_of,
    packed,
    publish_kinds,
    publish_pair,
    tensor,
)

pytestmark = pytest.mark.anyio
ROWS = [[1.0, 0.0], [0.0, 1.0]]
FLAT = [1.0, 0.0, 0.0, 1.0]
NUMBER_DATATYPES = [datatype for datatype in DTYPES if datatype != "BOOL"]


async def infer(client: httpx.AsyncClient, *inputs: dict[str, Any], path: str = PATH, **more: Any) -> httpx.Response:
    return await client.post(path, json={"inputs": list(inputs), **more})


async def infer_bytes(client: httpx.AsyncClient, *inputs: dict[str, Any], **more: Any) -> httpx.Response:
    sized, parts = as_bytes(list(inputs))
    body, headers = packed({"inputs": sized, **more}, *parts)
    return await client.post(PATH, content=body, headers=headers)


async def test_an_answer_has_model_version_and_the_id_of_the_request(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()

    answer = await infer(client, tensor("x", [2, 2], "FP32", [0, 0, 0, 0]), id="a 1")

    assert answer.json() == {
        "model_name": "my_model",
        "model_version": "1",
        "id": "a 1",
        "outputs": [{"name": "y0", "datatype": "FP32", "shape": [2, 1], "data": [0.5, 0.5]}],
    }
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["fitserve-model-version"] == "1"


async def test_a_request_without_an_id_gets_none(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()

    assert "id" not in (await infer(client, tensor("x", [1, 2], "FP32", [0, 0]))).json()


@pytest.mark.parametrize("data", [FLAT, ROWS, [[1.0, 0.0, 0.0], [1.0]]], ids=["flat", "nested", "nested otherwise"])
async def test_data_are_read_in_row_major_order(client: httpx.AsyncClient, versions: FakeVersions, data: Any) -> None:
    versions.publish(weights=[[1.0], [2.0]])

    answer = await infer(client, tensor("x", [2, 2], "FP32", data))

    assert np.allclose(outputs_of(answer)["y0"], sigmoid([[1], [2]]), atol=1e-6)


@pytest.mark.parametrize("datatype", NUMBER_DATATYPES)
@pytest.mark.parametrize("send", [infer, infer_bytes])
async def test_numbers_of_every_datatype_are_taken(
    client: httpx.AsyncClient, versions: FakeVersions, datatype: str, send: Any
) -> None:
    publish_pair(versions)
    left, right = [3, 1, 0, 100], [1, 1, 5, 27]

    answer = await send(client, tensor("left", [2, 2], datatype, left), tensor("right", [2, 2], datatype, right))

    outputs = outputs_of(answer)
    assert outputs["sum"].ravel().tolist() == [4, 2, 5, 127]
    assert outputs["gap"].ravel().tolist() == [2, 0, -5, 73]


@pytest.mark.parametrize("send", [infer, infer_bytes])
@pytest.mark.parametrize("shape", [[2], [2, 1]])
async def test_columns_of_a_table_answer_as_rows_do(
    client: httpx.AsyncClient, versions: FakeVersions, send: Any, shape: list[int]
) -> None:
    publish_kinds(versions)
    other = {"age": 20, "member": False, "city": "日本", "floor": 0, "day": "2024-10-04T12:00:00Z", "about": ""}
    datatypes = {"age": "FP64", "member": "BOOL", "city": "BYTES", "floor": "INT64", "day": "BYTES", "about": "BYTES"}

    columns = [tensor(name, shape, datatypes[name], [KINDS_ROW[name], other[name]]) for name in KINDS_ROW]
    answer = await send(client, *columns)

    by_row = await client.post("/api/models/my_model:predict", json={"rows": [KINDS_ROW, other]})
    values = [prediction["value"] for prediction in by_row.json()["predictions"]]
    assert outputs_of(answer)["y0"].ravel().tolist() == pytest.approx(values, abs=1e-6)
    assert len(set(values)) == 2


@pytest.mark.parametrize(
    ("name", "datatype", "value"),
    [
        ("age", "FP32", None),
        ("age", "FP64", None),
        ("age", "BYTES", None),
        ("member", "FP32", None),
        ("city", "BYTES", None),
        ("floor", "FP32", None),
        ("day", "BYTES", None),
        ("about", "BYTES", None),
        ("city", "BYTES", "never seen"),
        ("city", "FP64", 7),
        ("floor", "INT64", 99),
    ],
)
async def test_missing_and_unseen_values_count_as_they_do_in_rows(
    client: httpx.AsyncClient, versions: FakeVersions, name: str, datatype: str, value: Any
) -> None:
    publish_kinds(versions)
    datatypes = {"age": "FP64", "member": "BOOL", "floor": "INT64", name: datatype}
    row = KINDS_ROW | {name: value}

    answer = await infer(client, *(tensor(column, [1], datatypes.get(column, "BYTES"), [row[column]]) for column in row))

    by_row = await client.post("/api/models/my_model:predict", json={"rows": [row]})
    assert outputs_of(answer)["y0"][0, 0] == pytest.approx(by_row.json()["predictions"][0]["value"], abs=1e-6)


async def test_nan_in_bytes_is_a_missing_number_of_a_table(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    plan = json.loads(json.dumps(TABLE_PLAN))
    plan["inputs"][0]["columns"][0]["missing"] = 7.0
    versions.publish(plan=plan, weights=[[0.1], [0.2]])

    answer = await infer_bytes(client, tensor("age", [1], "FP32", [np.nan]), tensor("height", [1], "FP32", [2]))

    assert outputs_of(answer)["y0"][0, 0] == pytest.approx(sigmoid(0.7 + 0.4), abs=1e-6)


async def test_columns_may_come_in_any_order_with_those_that_are_not_used(
    client: httpx.AsyncClient, versions: FakeVersions
) -> None:
    publish_kinds(versions)
    datatypes = {"age": "INT8", "member": "BOOL", "floor": "UINT16", "id": "INT64"}
    row = {"id": 5, **dict(reversed(KINDS_ROW.items()))}

    answer = await infer(client, *(tensor(name, [1], datatypes.get(name, "BYTES"), [row[name]]) for name in row))

    assert outputs_of(answer)["y0"].shape == (1, 1)


async def test_only_the_outputs_that_are_asked_for_are_answered(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish_pair(versions)
    pair = [tensor("left", [1, 2], "FP32", [3, 5]), tensor("right", [1, 2], "FP32", [1, 2])]

    both = outputs_of(await infer(client, *pair, outputs=[{"name": "gap"}, {"name": "sum"}]))
    one = outputs_of(await infer(client, *pair, outputs=[{"name": "gap"}]))

    assert list(both) == ["gap", "sum"]
    assert {name: values.tolist() for name, values in one.items()} == {"gap": [[2, 3]]}


@pytest.mark.parametrize(
    ("default", "own", "is_binary"),
    [
        (None, None, False),
        (True, None, True),
        (False, None, False),
        (True, False, False),
        (False, True, True),
        (None, True, True),
    ],
)
async def test_each_output_comes_as_bytes_or_json_as_it_says_or_else_as_the_request_says(
    client: httpx.AsyncClient, versions: FakeVersions, default: bool | None, own: bool | None, is_binary: bool
) -> None:
    publish_pair(versions)
    wanted = {"name": "gap", "parameters": {} if own is None else {"binary_data": own}}
    parameters = {} if default is None else {"binary_data_output": default}

    pair = [tensor("left", [1, 2], "FP32", [3, 5]), tensor("right", [1, 2], "FP32", [1, 2])]
    answer = await infer(
        client, *pair, outputs=[wanted, {"name": "sum", "parameters": {"binary_data": True}}], parameters=parameters
    )

    head = json.loads(answer.content[: int(answer.headers["inference-header-content-length"])])
    assert ["data" not in entry for entry in head["outputs"]] == [is_binary, True]
    assert outputs_of(answer)["gap"].tolist() == [[2, 3]]
    assert answer.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("is_binary", [True, False])
async def test_json_and_bytes_may_be_mixed_in_one_request(
    client: httpx.AsyncClient, versions: FakeVersions, is_binary: bool
) -> None:
    publish_pair(versions)
    part = np.array([3, 5], "<f4").tobytes()

    inputs = [tensor("right", [1, 2], "INT8", [1, 2]), tensor("left", [1, 2], "FP32", binary_data_size=len(part))]
    body, headers = packed({"inputs": inputs, "parameters": {"binary_data_output": is_binary}}, part)
    answer = await client.post(PATH, content=body, headers=headers)

    assert {name: values.tolist() for name, values in outputs_of(answer).items()} == {"sum": [[4, 7]], "gap": [[2, 3]]}


async def test_bytes_may_stand_at_any_place(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish_pair(versions)
    parts = [np.array([3, 5], "<f8").tobytes(), np.array([1, 2], "<f4").tobytes()]

    for length in range(1, 9):  # so that numbers begin at every offset from a word's begin
        inputs = [
            tensor("left", [1, 2], "FP64", binary_data_size=16),
            tensor("right", [1, 2], "FP32", binary_data_size=8),
        ]
        body, headers = packed({"id": "x" * length, "inputs": inputs}, *parts)
        assert outputs_of(await client.post(PATH, content=body, headers=headers))["sum"].tolist() == [[4, 7]]


@pytest.mark.parametrize(
    ("column", "content"),
    [
        ({"type": "number", "column": "only", "missing": 0.0, "offset": 0.0, "divisor": 1.0}, np.array([2.0]).tobytes()),
        ({"type": "category", "column": "only", "vocabulary": ["a", "ü"], "encoding": "index"}, "ü".encode()),
        ({"type": "category", "column": "only", "vocabulary": [7, 8], "encoding": "index"}, np.array([8]).tobytes()),
    ],
    ids=["number", "text", "integer"],
)
async def test_the_only_input_may_be_the_whole_body(
    client: httpx.AsyncClient, versions: FakeVersions, column: dict[str, Any], content: bytes
) -> None:
    plan = TABLE_PLAN | {"inputs": [{"kind": "table", "name": "x", "columns": [column]}]}
    versions.publish(plan=plan, weights=[[1.0]], example={"rows": [[0]]})

    answer = await client.post(PATH, content=content, headers={"Inference-Header-Content-Length": "0"})

    assert outputs_of(answer)["y0"][0, 0] == pytest.approx(sigmoid(2), abs=1e-6)
    assert answer.headers["content-type"] == "application/octet-stream"


async def test_the_only_array_may_be_the_whole_body(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish(weights=[[1.0], [2.0]])

    answer = await client.post(PATH, content=np.array([1, 1], "<f4").tobytes(), headers={"Inference-Header-Content-Length": "0"})

    assert outputs_of(answer)["y0"][0, 0] == pytest.approx(sigmoid(3), abs=1e-6)


COMPRESSORS = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("encoding", list(COMPRESSORS))
async def test_compressed_requests_are_read_as_what_they_were(
    client: httpx.AsyncClient, versions: FakeVersions, encoding: str
) -> None:
    versions.publish()
    sized, parts = as_bytes([tensor("x", [1, 2], "FP32", [0, 0])])
    body, headers = packed({"inputs": sized}, *parts)

    answer = await client.post(PATH, content=COMPRESSORS[encoding](body), headers=headers | {"Content-Encoding": encoding})

    assert outputs_of(answer)["y0"].tolist() == [[0.5]]


@pytest.mark.parametrize("encoding", list(COMPRESSORS))
async def test_long_answers_are_compressed_where_the_client_takes_nothing_else(
    client: httpx.AsyncClient, versions: FakeVersions, encoding: str
) -> None:
    versions.publish()
    document = {"inputs": [tensor("x", [900, 2], "FP32", [0] * 1800)], "parameters": {"binary_data_output": True}}

    answer = await client.post(PATH, json=document, headers={"Accept-Encoding": encoding})
    short = await client.post(PATH, json={"inputs": [tensor("x", [1, 2], "FP32", [0, 0])]}, headers={"Accept-Encoding": encoding})

    assert answer.headers["content-encoding"] == encoding
    assert int(answer.headers["content-length"]) < 900
    assert outputs_of(answer)["y0"].tolist() == [[0.5]] * 900  # the length in the header is that before compression
    assert "content-encoding" not in short.headers


async def test_nan_is_null_in_json_and_itself_in_bytes(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish(weights=[[float("nan")], [0.0]])

    as_json = await infer(client, tensor("x", [1, 2], "FP32", [1, 0]))
    as_binary = await infer(client, tensor("x", [1, 2], "FP32", [1, 0]), parameters={"binary_data_output": True})

    assert as_json.json()["outputs"][0]["data"] == [None]
    assert np.isnan(outputs_of(as_binary)["y0"]).all()


async def test_infinity_in_json_is_an_error_that_says_to_ask_for_bytes(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish_pair(versions)
    largest = float(np.finfo(np.float32).max)
    pair = [tensor("left", [1, 2], "FP32", [largest, 1]), tensor("right", [1, 2], "FP32", [largest, 1])]

    refused = await infer(client, *pair)
    answer = await infer(client, *pair, parameters={"binary_data_output": True})

    assert refused.status_code == 400
    assert "binary_data_output" in refused.json()["error"]
    assert outputs_of(answer)["sum"].tolist() == [[np.inf, 2]]


async def test_nan_and_infinities_in_bytes_reach_the_model(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish_pair(versions)
    odd = [np.nan, -np.inf]

    answer = await infer_bytes(
        client,
        tensor("left", [1, 2], "FP32", odd),
        tensor("right", [1, 2], "FP32", [0, 0]),
        parameters={"binary_data_output": True},
    )

    assert np.array_equal(outputs_of(answer)["sum"], [odd], equal_nan=True)


@pytest.mark.parametrize(("path", "version"), [("", "2"), ("/versions/1", "1"), ("/versions/production", "1")])
@pytest.mark.parametrize("action", ["", "/ready", "/infer"])
async def test_versions_are_chosen_by_number_or_alias(
    client: httpx.AsyncClient, versions: FakeVersions, path: str, version: str, action: str
) -> None:
    versions.publish()
    versions.publish()
    versions.aliases["my_model", "production"] = 1

    body = {"json": {"inputs": [tensor("x", [1, 2], "FP32", [0, 0])]}} if action == "/infer" else {}
    answer = await client.request("POST" if body else "GET", f"/v2/models/my_model{path}{action}", **body)

    assert (answer.status_code, answer.headers["fitserve-model-version"]) == (200, version)


async def test_metadata_of_a_table_name_every_column_with_its_datatype(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish_kinds(versions)

    metadata = (await client.get("/v2/models/my_model")).json()

    assert metadata["name"] == "my_model"
    assert metadata["versions"] == ["1"]
    assert metadata["platform"] == "onnxruntime_onnx"
    assert {entry["name"]: entry["datatype"] for entry in metadata["inputs"]} == {
        "age": "FP64", "member": "BOOL", "city": "BYTES", "floor": "INT64", "day": "BYTES", "about": "BYTES",
    }  # fmt: skip
    assert all(entry["shape"] == [-1] for entry in metadata["inputs"])
    assert metadata["outputs"] == [{"name": "y0", "datatype": "FP32", "shape": [-1, 1]}]


async def test_metadata_of_arrays_have_their_shapes(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish_pair(versions)

    metadata = (await client.get("/v2/models/my_model")).json()

    assert metadata["inputs"] == [{"name": name, "datatype": "FP32", "shape": [-1, 2]} for name in ("left", "right")]
    assert metadata["outputs"] == [{"name": name, "datatype": "FP32", "shape": [-1, 2]} for name in ("sum", "gap")]


@pytest.mark.parametrize("send", [infer, infer_bytes])
async def test_what_the_metadata_say_works(client: httpx.AsyncClient, versions: FakeVersions, send: Any) -> None:
    publish_kinds(versions)

    metadata = (await client.get("/v2/models/my_model")).json()
    inputs = [
        tensor(
            entry["name"], [1 if size == -1 else size for size in entry["shape"]], entry["datatype"], [KINDS_ROW[entry["name"]]]
        )
        for entry in metadata["inputs"]
    ]

    assert outputs_of(await send(client, *inputs)).keys() == {entry["name"] for entry in metadata["outputs"]}


async def test_the_server_tells_what_it_is_and_that_it_lives(client: httpx.AsyncClient) -> None:
    server = (await client.get("/v2")).json()

    assert server["name"] == "fitserve"
    assert server["extensions"] == ["binary_tensor_data"]
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert (await client.get("/v2/health/ready")).json() == {"ready": True}


async def test_a_server_that_is_not_ready_says_why(versions: FakeVersions) -> None:
    def refuse() -> None:
        raise Unavailable("Not ready: database: It does not answer.")

    async with client_of(app_of(versions, check_ready=refuse)) as client:
        ready, live = await client.get("/v2/health/ready"), await client.get("/v2/health/live")

    assert (ready.status_code, ready.json()) == (503, {"error": "Not ready: database: It does not answer."})
    assert live.status_code == 200


@pytest.fixture
def host_without_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engines, "can_run", lambda engines, engine: engine == "onnx")


@pytest.mark.usefixtures("host_without_keras")
async def test_a_version_that_needs_keras_is_not_ready_and_says_why(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish(engine="keras", reason="No ONNX.", onnx_sha256=None)

    ready = await client.get("/v2/models/my_model/ready")
    answer = await infer(client, tensor("x", [1, 2], "FP32", [0, 0]))

    assert (ready.status_code, answer.status_code) == (503, 503)
    assert "No ONNX." in ready.json()["error"]
    assert (await client.get("/v2/models/my_model")).json()["platform"] == "tensorflow_keras"


@pytest.mark.usefixtures("host_without_keras")
@pytest.mark.parametrize(("body", "count"), [(b"", 3), (b"{}", 3), (b'{"ready": false}', 3), (b'{"ready": true}', 2)])
async def test_the_index_lists_every_version_or_those_that_answer(
    client: httpx.AsyncClient, versions: FakeVersions, body: bytes, count: int
) -> None:
    versions.publish()
    versions.publish(engine="keras", reason="No ONNX.", onnx_sha256=None)
    versions.publish("other")

    index = (await client.post("/v2/repository/index", content=body)).json()

    assert len(index) == count
    assert {"name": "other", "version": "1", "state": "READY", "reason": ""} in index
    unready = {"name": "my_model", "version": "2", "state": "UNAVAILABLE", "reason": "No ONNX."}
    assert (unready in index) == (count == 3)


async def test_a_database_that_is_away_is_a_503(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()
    versions.is_away = True

    answers = [await infer(client, tensor("x", [1, 2], "FP32", [0, 0])), await client.get("/v2/models/my_model")]

    assert [(answer.status_code, list(answer.json())) for answer in answers] == [(503, ["error"])] * 2
    assert all(answer.headers["retry-after"] for answer in answers)


@pytest.mark.parametrize("kind", ["fractions", "integers", "mixed"])
async def test_long_bodies_are_read_as_short_ones_in_every_way(
    client: httpx.AsyncClient, versions: FakeVersions, kind: str
) -> None:
    versions.publish(weights=[[1.0], [0.5]])
    random = np.random.default_rng(0)
    numbers = {"fractions": random.normal(size=(1000, 2)), "integers": random.integers(-3, 4, size=(1000, 2))}
    rows: list[Any] = numbers.get(kind, numbers["integers"]).tolist()
    rows[500] = [0.25, 1] if kind == "mixed" else rows[500]
    path = "/v1/models/my_model:predict"
    padding = " " * 20_000

    async def values(address: str, document: Any) -> Any:
        answer = await client.post(address, content=json.dumps(document) + padding)
        return outputs_of(answer)["y0"] if address == PATH else next(iter(answer.json().values()))

    found = [
        await values(PATH, {"inputs": [tensor("x", [1000, 2], "FP32", rows)]}),
        await values(PATH, {"inputs": [tensor("x", [1000, 2], "FP64", [number for row in rows for number in row])]}),
        await values(path, {"instances": rows}),
        await values(path, {"instances": [{"x": row} for row in rows]}),
        await values(path, {"inputs": rows}),
        await values(path, {"inputs": {"x": rows}}),
        outputs_of(await infer_bytes(client, tensor("x", [1000, 2], "FP32", rows)))["y0"],
    ]

    for outputs in found:
        assert np.allclose(outputs, sigmoid(np.array(rows) @ [[1.0], [0.5]]), atol=1e-6)


@pytest.mark.parametrize("datatype", ["FP32", "INT32"])
@pytest.mark.parametrize("odd", [True, "1", [1], {"b": 1}, 10**400])
async def test_long_lists_are_checked_like_short_ones(
    client: httpx.AsyncClient, versions: FakeVersions, odd: Any, datatype: str
) -> None:
    versions.publish()
    rows = [[number, 1] for number in range(998)] + [[1, odd]]

    answers = [
        await client.post(PATH, content=json.dumps({"inputs": [tensor("x", [999, 2], datatype, rows)]}) + " " * 20_000),
        await client.post("/v1/models/my_model:predict", content=json.dumps({"instances": rows}) + " " * 20_000),
    ]

    assert [(answer.status_code, list(answer.json())) for answer in answers] == [(400, ["error"])] * 2
