import base64
import gzip
import json
import zlib
from typing import Any

import httpx
import numpy as np
import pytest

from service.predictions.protocols.tensorflow_serving.reading import parse_lenient
from tests.fakes.versions import TABLE_PLAN, FakeVersions, sigmoid
from tests.unit.predictions.tensors import KINDS_ROW, publish_kinds, publish_pair

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
        {"instances": [[0, 0]], "signature_name": None},
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
    long = await client.post(PATH, content=json.dumps(document) + " " * 20_000)  # which may be read in another way

    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert answer.json()["error"]
    assert (long.status_code, list(long.json())) == (400, ["error"])


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


@pytest.mark.parametrize("selector", ["", "/versions/1", "/labels/production"])
async def test_the_metadata_name_the_columns_of_a_table_with_their_types(
    client: httpx.AsyncClient, versions: FakeVersions, selector: str
) -> None:
    publish_kinds(versions)
    versions.aliases["my_model", "production"] = 1

    metadata = (await client.get(f"/v1/models/my_model{selector}/metadata")).json()

    assert metadata["model_spec"] == {"name": "my_model", "signature_name": "", "version": "1"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert {name: entry["dtype"] for name, entry in signature["inputs"].items()} == {
        "age": "DT_DOUBLE", "member": "DT_BOOL", "city": "DT_STRING", "floor": "DT_INT64", "day": "DT_STRING",
        "about": "DT_STRING",
    }  # fmt: skip
    assert signature["inputs"]["age"]["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert signature["outputs"]["y0"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False},
        "name": "y0:0",
    }


@pytest.mark.parametrize("verb", ["classify", "regress"])
async def test_verbs_of_other_messages_are_a_501_that_says_why(
    client: httpx.AsyncClient, versions: FakeVersions, verb: str
) -> None:
    versions.publish()

    answer = await client.post(f"/v1/models/my_model:{verb}", json={"examples": []})

    assert (answer.status_code, list(answer.json())) == (501, ["error"])
    assert ":predict" in answer.json()["error"]


async def predicted(client: httpx.AsyncClient, content: bytes | str) -> Any:
    answer = await client.post(PATH, content=content)
    assert answer.status_code == 200, answer.text
    (result,) = json.loads(answer.content).values()
    return result


@pytest.mark.parametrize("form", ["instances", "inputs"])
async def test_texts_may_come_in_base64(client: httpx.AsyncClient, versions: FakeVersions, form: str) -> None:
    publish_kinds(versions)
    row = KINDS_ROW | {"city": "日本"}
    encoded = row | {"city": {"b64": base64.b64encode("日本".encode()).decode()}}

    results = [
        await predicted(client, json.dumps({form: [sent] if form == "instances" else {name: [sent[name]] for name in sent}}))
        for sent in (row, encoded, KINDS_ROW)
    ]

    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize("value", ["", "!", "/w==", "YQ", "YQ==\n", "ü", 5, None, ["YQ=="], {"b64": 5}])
async def test_what_is_no_text_in_base64_is_a_400(client: httpx.AsyncClient, versions: FakeVersions, value: Any) -> None:
    publish_kinds(versions)

    answer = await client.post(PATH, json={"instances": [KINDS_ROW | {"city": {"b64": value}}]})

    if value == "":  # no bytes are a text
        assert answer.status_code == 200
    else:
        assert answer.status_code == 400
        assert "instances/0/city/b64" in answer.json()["error"]


async def test_base64_below_many_levels_is_a_400(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()

    answer = await client.post(PATH, content=b'{"instances": ' + b"[" * 1000 + b'{"b64": "YQ=="}' + b"]" * 1000 + b"}")

    assert answer.status_code == 400


@pytest.mark.parametrize("levels", [65, 500, 1000])
@pytest.mark.parametrize("form", ["instances", "inputs"])
async def test_rows_of_many_levels_are_a_400(client: httpx.AsyncClient, versions: FakeVersions, form: str, levels: int) -> None:
    versions.publish()

    answer = await client.post(PATH, content=f'{{"{form}": {"[" * levels}0{"]" * levels}}}')

    assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize("written", ["NaN", "null"])
@pytest.mark.parametrize(
    "body",
    ['{"instances": [[%s, 2]]}', '{"instances": [{"age": %s, "height": 2}]}', '{"inputs": {"age": [%s], "height": [2]}}'],
)
async def test_nan_and_null_are_a_missing_number_of_a_table(
    client: httpx.AsyncClient, versions: FakeVersions, body: str, written: str
) -> None:
    plan = json.loads(json.dumps(TABLE_PLAN))
    plan["inputs"][0]["columns"][0]["missing"] = 7.0
    versions.publish(plan=plan, weights=[[0.1], [0.2]])

    assert np.allclose(await predicted(client, body % written), sigmoid([[1.1]]), atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        '{"instances": [[Infinity, 2]]}',
        '{"instances": [{"age": -Infinity, "height": 2}]}',
        '{"inputs": {"age": [Infinity], "height": [2]}}',
    ],
)
async def test_an_infinite_number_of_a_table_is_a_400(client: httpx.AsyncClient, versions: FakeVersions, body: str) -> None:
    versions.publish(plan=TABLE_PLAN)

    answer = await client.post(PATH, content=body)

    assert answer.status_code == 400
    assert "not finite" in answer.json()["error"]


async def test_numbers_that_are_not_finite_reach_a_model_of_arrays(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish_pair(versions)

    result = await predicted(
        client, '{"instances": [{"left": [NaN, Infinity], "right": [0, 0]}, {"left": [1, -Infinity], "right": [1, 1]}]}'
    )

    assert np.array_equal(result[0]["sum"], [np.nan, np.inf], equal_nan=True)
    assert np.array_equal(result[1]["gap"], [0, -np.inf])


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [{"age": 1, "height": 2, "weight": 3}]},
        {"inputs": {"age": [1], "height": [2], "weight": [3]}},
        {"instances": [{"age": 1}]},
        {"inputs": {"age": [1]}},
        {"inputs": {"age": [[1, 2], [3, 4]], "height": [1, 2]}},
        {"inputs": {"age": [[[1]], [[2]]], "height": [1, 2]}},
        {"inputs": {"age": [{"a": 1}], "height": [1]}},
        {"inputs": {"age": ["1"], "height": [1]}},
        {"inputs": {"age": [True], "height": [1]}},
    ],
)
async def test_columns_that_are_not_those_of_the_table_are_a_400(
    client: httpx.AsyncClient, versions: FakeVersions, document: Any
) -> None:
    versions.publish(plan=TABLE_PLAN)

    answer = await client.post(PATH, json=document)

    assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"left": [3, 5], "right": [1, 2]}, {"right": [4, 4], "left": [0, 1]}]},
        {"inputs": {"left": [[3, 5], [0, 1]], "right": [[1, 2], [4, 4]]}},
    ],
)
async def test_several_inputs_are_taken_by_name_in_rows_and_columns(
    client: httpx.AsyncClient, versions: FakeVersions, body: Any
) -> None:
    publish_pair(versions)

    result = await predicted(client, json.dumps(body))

    by_column = result if "inputs" in body else {name: [row[name] for row in result] for name in result[0]}
    assert by_column == {"sum": [[4, 7], [4, 5]], "gap": [[2, 3], [-4, -3]]}


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [[[3, 5], [1, 2]]]},
        {"instances": [{"left": [3, 5]}]},
        {"instances": [{"left": [3, 5], "right": [1, 2], "other": [1, 2]}]},
        {"inputs": [[3, 5]]},
        {"inputs": {"left": [[3, 5]]}},
        {"inputs": {"left": [[3, 5]], "right": [[1, 2], [1, 2]]}},
        {"inputs": {"left": [[3, 5]], "right": [[1, 2]], "other": [[1, 2]]}},
    ],
)
async def test_several_inputs_without_their_names_or_of_several_lengths_are_a_400(
    client: httpx.AsyncClient, versions: FakeVersions, body: Any
) -> None:
    publish_pair(versions)

    assert (await client.post(PATH, json=body)).status_code == 400


@pytest.mark.parametrize("columns", [{"id": [1, 2, 3]}, {"id": []}, {"age": [35]}])
async def test_columns_of_several_lengths_are_a_400_even_where_one_is_not_used(
    client: httpx.AsyncClient, versions: FakeVersions, columns: dict[str, list[Any]]
) -> None:
    publish_kinds(versions)
    inputs = {name: [value, value] for name, value in KINDS_ROW.items()} | columns

    answer = await client.post(PATH, json={"inputs": inputs})

    assert answer.status_code == 400
    assert "different numbers of rows" in answer.json()["error"]
