"""Whatever is wrong with a request of the Open Inference Protocol, the answer is ``{"error": …}`` with the right status."""

import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest

from tests.fakes.versions import FakeVersions
from tests.unit.predictions.tensors import (
    DTYPES,
    JSON_BYTES,
    KINDS_ROW,
    PATH,
    assert_is_error,
    packed,
    publish_kinds,
    publish_pair,
    tensor,
    texts,
)

pytestmark = pytest.mark.anyio
X: dict[str, Any] = tensor("x", [1, 2], "FP32", [0, 0])
ZERO = np.zeros(2, "<f4").tobytes()
PADDING = " " * 20_000
"""Makes a body one of those that are long, which may be read in another way."""


def with_x(**changes: Any) -> dict[str, Any]:
    return {"inputs": [X | changes]}


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


DOCUMENTS: dict[str, tuple[Any, str]] = {
    "a list": ([], "no JSON object"),
    "null": (None, "no JSON object"),
    "a number": (5, "no JSON object"),
    "nothing": ({}, "inputs"),
    "no inputs": ({"inputs": []}, "inputs"),
    "inputs as object": ({"inputs": {"x": [0, 0]}}, "inputs"),
    "input as text": ({"inputs": ["x"]}, "inputs/0"),
    "input as list": ({"inputs": [[0, 0]]}, "inputs/0"),
    "unknown field": ({**with_x(), "input": 1}, "Did you mean 'inputs'"),
    "unknown field of an input": (with_x(dtype="FP32"), "inputs/0/dtype"),
    "a long unknown field": ({**with_x(), "z" * 100_000: 1}, "zzz"),
    "id as number": ({**with_x(), "id": 5}, "id"),
    "long id": ({**with_x(), "id": "i" * 1025}, "id"),
    "parameters as list": ({**with_x(), "parameters": []}, "parameters"),
    "flag as number": ({**with_x(), "parameters": {"binary_data_output": 1}}, "binary_data_output"),
    "flag as text": ({**with_x(), "parameters": {"binary_data_output": "true"}}, "binary_data_output"),
    "no name": ({"inputs": [{"shape": [1, 2], "datatype": "FP32", "data": [0, 0]}]}, "inputs/0/name"),
    "name as number": (with_x(name=5), "inputs/0/name"),
    "unknown name": (with_x(name="y"), "There is no 'x'"),
    "duplicate names": ({"inputs": [X, X]}, "inputs/1/name"),
    "one input too many": ({"inputs": [X, X | {"name": "y"}]}, "inputs/1"),
    "no shape": ({"inputs": [{"name": "x", "datatype": "FP32", "data": [0, 0]}]}, "inputs/0/shape"),
    "shape as number": (with_x(shape=2), "inputs/0/shape"),
    "shape as text": (with_x(shape="1,2"), "inputs/0/shape"),
    "empty shape": (with_x(shape=[]), "inputs/0/shape"),
    "shape of texts": (with_x(shape=["1", "2"]), "inputs/0/shape"),
    "shape of booleans": (with_x(shape=[True, 2]), "inputs/0/shape"),
    "shape of fractions": (with_x(shape=[1.0, 2]), "inputs/0/shape"),
    "negative shape": (with_x(shape=[-1, -2]), "inputs/0/shape"),
    "unknown size": (with_x(shape=[-1, 2]), "inputs/0/shape"),
    "zero rows": (with_x(shape=[0, 2], data=[]), "inputs/0/shape"),
    "zero rows and much else": (with_x(shape=[0, 2**64 - 1], data=[]), "inputs/0/shape"),
    "a large shape": (with_x(shape=[10**12, 2]), "2 values"),
    "a product beyond 64 bits": (with_x(shape=[2**63, 2**63, 2]), "2 values"),
    "a product that wraps round to 2": (with_x(shape=[2**63 + 1, 2]), "2 values"),
    "too many axes": (with_x(shape=[1] * 17), "inputs/0/shape"),
    "shape of another model": (with_x(shape=[1, 3], data=[0, 0, 0]), "wrong shape"),
    "shape without rows": (with_x(shape=[2]), "wrong shape"),
    "no datatype": ({"inputs": [{"name": "x", "shape": [1, 2], "data": [0, 0]}]}, "inputs/0/datatype"),
    "unknown datatype": (with_x(datatype="FP31"), "Did you mean"),
    "datatype as number": (with_x(datatype=32), "inputs/0/datatype"),
    "datatype as list": (with_x(datatype=["FP32"]), "inputs/0/datatype"),
    "lower-case datatype": (with_x(datatype="fp32"), "inputs/0/datatype"),
    "texts for numbers": (with_x(datatype="BYTES", data=["a", "b"]), "no numbers"),
    "booleans for numbers": (with_x(datatype="BOOL", data=[True, False]), "no numbers"),
    "no data": (with_x(data=None), "inputs/0/data"),
    "data as text": (with_x(data="00"), "inputs/0/data"),
    "data as object": (with_x(data={"0": 0}), "inputs/0/data"),
    "data as number": (with_x(data=0), "inputs/0/data"),
    "too little data": (with_x(data=[0]), "1 values"),
    "too much data": (with_x(data=[0, 0, 0]), "3 values"),
    "text in data": (with_x(data=[0, "1"]), "inputs/0/data/1"),
    "boolean in data": (with_x(data=[0, True]), "inputs/0/data/1"),
    "object in data": (with_x(data=[0, {"a": "b" * 1000}]), "inputs/0/data/1"),
    "deeper than the shape": (with_x(data=[[[0, 0]]]), "nested too deeply"),
    "500 levels": (with_x(data=nested(500)), "nested too deeply"),
    "900 levels": (with_x(data=nested(900)), "nested too deeply"),
    "too large for FP16": (with_x(datatype="FP16", data=[1e5, 0]), "too large"),
    "too large for FP32": (with_x(data=[1e39, 0]), "too large"),
    "an integer too large for FP32": (with_x(data=[10**39, 0]), "too large"),
    "null in integers": (with_x(datatype="INT32", data=[None, 0]), "inputs/0/data/0"),
    "fraction in integers": (with_x(datatype="INT32", data=[1.0, 0]), "inputs/0/data/0"),
    "number in booleans": (with_x(datatype="BOOL", data=[1, 0]), "inputs/0/data/0"),
    "number in texts": (with_x(datatype="BYTES", data=[1, 0]), "inputs/0/data/0"),
    "bytes that are not there": (with_x(parameters={"binary_data_size": 8}), "inputs/0/data"),
    "shared memory": (
        {"inputs": [tensor("x", [1, 2], "FP32", shared_memory_region="r", shared_memory_byte_size=8)]},
        "shared_memory_region",
    ),
    "outputs as object": ({**with_x(), "outputs": {"y0": {}}}, "outputs"),
    "output as text": ({**with_x(), "outputs": ["y0"]}, "outputs/0"),
    "output without name": ({**with_x(), "outputs": [{}]}, "outputs/0/name"),
    "unknown output": ({**with_x(), "outputs": [{"name": "y1"}]}, "no output 'y1'"),
    "an output twice": ({**with_x(), "outputs": [{"name": "y0"}] * 2}, "outputs/1/name"),
    "unknown field of an output": ({**with_x(), "outputs": [{"name": "y0", "data": []}]}, "outputs/0/data"),
    "binary_data as number": ({**with_x(), "outputs": [{"name": "y0", "parameters": {"binary_data": 1}}]}, "binary_data"),
    "classification": ({**with_x(), "outputs": [{"name": "y0", "parameters": {"classification": 3}}]}, "classification"),
    "output in shared memory": (
        {**with_x(), "outputs": [{"name": "y0", "parameters": {"shared_memory_region": "r"}}]},
        "shared_memory_region",
    ),
    "too many rows": (with_x(shape=[1001, 2], data=[0] * 2002), "1001 rows"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_document_that_is_wrong_is_a_400_that_names_the_place(
    client: httpx.AsyncClient, versions: FakeVersions, name: str
) -> None:
    versions.publish()
    document, words = DOCUMENTS[name]

    message = assert_is_error(await client.post(PATH, content=json.dumps(document)))
    long = assert_is_error(await client.post(PATH, content=json.dumps(document) + PADDING))

    assert words in message
    assert long == message
    assert (await client.post(PATH, content=json.dumps(with_x()) + PADDING)).status_code == 200


BODIES = {
    "empty": b"",
    "cut off": b'{"inputs": [',
    "bad UTF-8": b'{"inputs": [{"name": "\xff", "shape": [1, 2], "datatype": "FP32", "data": [0, 0]}]}',
    "UTF-16": json.dumps(with_x()).encode("utf-16"),
    "lone surrogate": b'{"inputs": [{"name": "\\ud800", "shape": [1, 2], "datatype": "FP32", "data": [0, 0]}]}',
    "NaN": b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [NaN, 0]}]}',
    "Infinity": b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [-Infinity, 0]}]}',
    "1e400": b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1e400, 0]}]}',
    "5,000 digits": b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "INT64", "data": [%s, 0]}]}' % (b"1" * 5000),
    "100,000 brackets": b"[" * 100_000,
    "trailing garbage": json.dumps(with_x()).encode() + b"garbage",
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_is_no_json_is_a_400(client: httpx.AsyncClient, versions: FakeVersions, name: str) -> None:
    versions.publish()

    assert_is_error(await client.post(PATH, content=BODIES[name]))
    assert_is_error(await client.post(PATH, content=BODIES[name] + PADDING.encode()))


@pytest.mark.parametrize("datatype", [name for name, dtype in DTYPES.items() if np.dtype(dtype).kind in "iu"])
async def test_integers_beyond_their_datatype_are_refused_and_its_limits_taken(
    client: httpx.AsyncClient, versions: FakeVersions, datatype: str
) -> None:
    versions.publish()
    limits = np.iinfo(DTYPES[datatype])

    for value in (int(limits.min) - 1, int(limits.max) + 1):
        assert_is_error(await client.post(PATH, json=with_x(datatype=datatype, data=[value, 0])))
    limiting = with_x(datatype=datatype, data=[int(limits.min), int(limits.max)])
    assert (await client.post(PATH, json=limiting)).status_code == 200


def sized(size: Any, datatype: str = "FP32", shape: Any = (1, 2)) -> dict[str, Any]:
    return {"inputs": [tensor("x", list(shape), datatype, binary_data_size=size)]}


PACKED: dict[str, tuple[dict[str, Any], bytes]] = {
    "fewer bytes than said": (sized(8), ZERO[:7]),
    "more bytes than said": (sized(8), ZERO + b"\0"),
    "bytes that nobody claims": (with_x(), ZERO),
    "half a number": (sized(7), ZERO[:7]),
    "too few numbers": (sized(4), ZERO[:4]),
    "no numbers": (sized(0), b""),
    "a negative size": (sized(-8), ZERO),
    "a size as text": (sized("8"), ZERO),
    "a size as fraction": (sized(8.0), ZERO),
    "a size as boolean": (sized(True), ZERO[:1]),
    "a size as list": (sized([8]), ZERO),
    "an enormous size": (sized(2**64 - 1), ZERO),
    "data twice": ({"inputs": [{**X, "parameters": {"binary_data_size": 8}}]}, ZERO),
    "no booleans": (sized(2, "BOOL"), b"\x02\x00"),
    "a text without its length": (sized(2, "BYTES", [1]), b"\x01\x00"),
    "a text that is cut off": (sized(7, "BYTES", [1]), struct.pack("<I", 4) + b"abc"),
    "a text of four gigabytes": (sized(7, "BYTES", [1]), struct.pack("<I", 2**32 - 1) + b"abc"),
    "a text that is no UTF-8": (sized(5, "BYTES", [1]), struct.pack("<I", 1) + b"\xff"),
    "too few texts": (sized(5, "BYTES", [2]), texts("a")),
    "too many texts": (sized(10, "BYTES", [1]), texts("a", "b")),
    "texts for numbers": (sized(10, "BYTES"), texts("a", "b")),
}


@pytest.mark.parametrize("name", PACKED)
async def test_bytes_that_are_wrong_are_a_400(client: httpx.AsyncClient, versions: FakeVersions, name: str) -> None:
    versions.publish()
    document, part = PACKED[name]
    body, headers = packed(document, part)

    assert "inputs" in assert_is_error(await client.post(PATH, content=body, headers=headers))


@pytest.mark.parametrize("length", ["-1", "1.5", "one", "²", "9" * 30, "999", "1"])
async def test_a_wrong_length_of_the_json_part_is_a_400(client: httpx.AsyncClient, versions: FakeVersions, length: str) -> None:
    versions.publish()

    answer = await client.post(PATH, json=with_x(), headers={JSON_BYTES: length.encode("latin-1")})

    assert_is_error(answer)


async def test_a_raw_body_needs_a_single_input_and_its_number_of_bytes(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    versions.publish()
    publish_pair(versions, model="pair")

    raw = {JSON_BYTES: "0"}
    short = await client.post(PATH, content=ZERO[:4], headers=raw)
    empty = await client.post(PATH, content=b"", headers=raw)
    several = await client.post("/v2/models/pair/infer", content=ZERO, headers=raw)

    assert_is_error(short)
    assert_is_error(empty)
    assert "2 inputs" in assert_is_error(several)


TABLE_CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "a column that is not there": ({"height": tensor("height", [1], "FP64", [1])}, "no column 'height'"),
    "a column of two values": ({"age": tensor("age", [1, 2], "FP64", [1, 2])}, "one value per row"),
    "a column of three axes": ({"age": tensor("age", [1, 1, 1], "FP64", [1])}, "one value per row"),
    "a longer column": ({"age": tensor("age", [2], "FP64", [1, 2])}, "different numbers of rows"),
    "a longer column that is not used": ({"id": tensor("id", [3], "INT64", [1, 2, 3])}, "different numbers of rows"),
    "text for a number": ({"age": tensor("age", [1], "BYTES", ["35"])}, "no number"),
    "boolean for a number": ({"age": tensor("age", [1], "BOOL", [True])}, "boolean"),
    "number for a date": ({"day": tensor("day", [1], "INT64", [20000])}, "no date"),
    "no date": ({"day": tensor("day", [1], "BYTES", ["yesterday"])}, "no date"),
    "number for a text": ({"about": tensor("about", [1], "FP32", [1])}, "no text"),
    "a number too large to scale": ({"age": tensor("age", [1], "FP64", [1e300])}, "too large"),
}


@pytest.mark.parametrize("name", [*TABLE_CHANGES, "a missing column"])
async def test_columns_that_do_not_suit_the_table_are_a_400(client: httpx.AsyncClient, versions: FakeVersions, name: str) -> None:
    publish_kinds(versions)
    datatypes = {"age": "FP64", "member": "BOOL", "floor": "INT64"}
    columns = {column: tensor(column, [1], datatypes.get(column, "BYTES"), [value]) for column, value in KINDS_ROW.items()}
    if name == "a missing column":
        del columns["city"]
        changes, words = {}, "no 'city'"
    else:
        changes, words = TABLE_CHANGES[name]

    answer = await client.post(PATH, json={"inputs": list((columns | changes).values())})

    assert words in assert_is_error(answer)


async def test_an_infinite_number_of_a_table_is_a_400(client: httpx.AsyncClient, versions: FakeVersions) -> None:
    publish_kinds(versions)
    inputs = [tensor("age", [1], "FP64", binary_data_size=8)]
    inputs += [
        tensor(name, [1], {"member": "BOOL", "floor": "INT64"}.get(name, "BYTES"), [value])
        for name, value in KINDS_ROW.items()
        if name != "age"
    ]
    body, headers = packed({"inputs": inputs}, np.array([np.inf]).tobytes())

    assert "not finite" in assert_is_error(await client.post(PATH, content=body, headers=headers))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/", 200),
        ("POST", "/v2", 405),
        ("GET", "/v2/other", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v2/models/", 404),
        ("POST", "/v2/health/live", 405),
        ("POST", "/v2/health/ready", 405),
        ("GET", "/v2/health/other", 404),
        ("GET", "/v2/repository/index", 405),
        ("POST", "/v2/repository/models/my_model/load", 404),
        ("GET", "/v2/models/missing", 404),
        ("GET", "/v2/models/missing/ready", 404),
        ("POST", "/v2/models/missing/infer", 404),
        ("GET", "/v2/models/<script>", 404),
        ("GET", "/v2/models/%2e%2e", 404),
        ("GET", "/v2/models/my_model/versions/2", 404),
        ("GET", "/v2/models/my_model/versions/0", 404),
        ("GET", "/v2/models/my_model/versions/-1", 404),
        ("GET", "/v2/models/my_model/versions/", 404),
        ("GET", "/v2/models/my_model/versions/²", 404),
        ("GET", "/v2/models/my_model/versions/99999999999999999999", 404),
        ("GET", "/v2/models/my_model/versions/staging", 404),
        ("POST", "/v2/models/my_model/versions/2/infer", 404),
        ("GET", "/v2/models/my_model/infer", 405),
        ("PUT", "/v2/models/my_model/infer", 405),
        ("POST", "/v2/models/my_model", 405),
        ("POST", "/v2/models/my_model/ready", 405),
        ("POST", "/v2/models/my_model/generate", 404),
        ("POST", "/v2/models/my_model/infer/more", 404),
    ],
)
async def test_errors_of_paths_and_methods_have_the_same_form(
    client: httpx.AsyncClient, versions: FakeVersions, method: str, path: str, status: int
) -> None:
    versions.publish()

    answer = await client.request(method, path, json=with_x())

    assert answer.status_code == status
    if status != 200:
        assert_is_error(answer, status)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 400), ("deflate", 400), ("br", 415), ("gzip, deflate", 415)])
async def test_encodings_that_cannot_be_read_are_refused(
    client: httpx.AsyncClient, versions: FakeVersions, encoding: str, status: int
) -> None:
    versions.publish()

    assert_is_error(await client.post(PATH, json=with_x(), headers={"Content-Encoding": encoding}), status)


@pytest.mark.parametrize("body", [b"[]", b"5", b"{", b'{"ready": 1}', b'{"ready": null}', b"\xff"])
async def test_a_wrong_request_for_the_index_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    assert_is_error(await client.post("/v2/repository/index", content=body))
