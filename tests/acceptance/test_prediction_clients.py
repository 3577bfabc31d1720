"""The clients that people use against Triton, KServe and TensorFlow Serving work after a change of the address."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import kserve
import numpy as np
import pytest
from kserve.protocol.infer_type import RequestedOutput
from tritonclient import http as triton
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

from tests.acceptance.client import Document, Fitserve, accepted
from tests.acceptance.running import EMBEDDED_ONLY, RunningService
from tests.graphs import dense, graph, joined

pytestmark = EMBEDDED_ONLY  # the protocols are the same on every stack

FLATS = graph(
    [{"name": "facts"}],
    [dense("shared", ["facts"], 8, "relu"), dense("price", ["shared"], 1, None), dense("dear", ["shared"], 1, "sigmoid")],
    "price",
    "dear",
)
FLATS_COMPILE = {"optimizer": "adam", "loss": {"price": "mse", "dear": "binary_crossentropy"}}
PAIRS = graph(
    [{"name": "left"}, {"name": "right"}],
    [joined("Concatenate", "both", "left", "right"), dense("gap", ["both"], 3, None)],
    "gap",
)
ROWS: list[Document] = [
    {"size": 7.5, "rooms": 2, "lift": True, "city": "Oslo", "built": "1998-05-01"},
    {"size": 4.25, "rooms": 1, "lift": False, "city": "São Paulo", "built": "2020-01-31"},
    {"size": None, "rooms": 3, "lift": True, "city": None, "built": None},
]
DATATYPES = {"size": "FP64", "rooms": "FP64", "lift": "BOOL", "city": "BYTES", "built": "BYTES"}
LEFT = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
RIGHT = np.random.default_rng(1).normal(size=(300, 3)).astype(np.float32)


def published(fitserve: Fitserve, model: str, dataset: str, **body: Any) -> str:
    run = accepted(fitserve.http.post("/api/runs", json={"model": model, "dataset": dataset, "seed": 1, **body}), 202)
    fitserve.succeeded(run["id"])
    return model


@pytest.fixture(scope="module")
def flats(fitserve: Fitserve) -> str:
    """A model of a table with columns of several kinds, and two outputs."""
    random = np.random.default_rng(2)
    rows = [
        {**ROWS[index % 3], "size": round(random.normal(8, 2), 2), "price": random.normal(), "class": "ab"[index % 2]}
        for index in range(60)
    ]
    dataset = fitserve.upload_json(rows=rows)["id"]
    model = fitserve.define_model(FLATS, FLATS_COMPILE)
    return published(fitserve, model, dataset, target={"price": "price", "dear": "class"}, fit={"epochs": 1})


@pytest.fixture(scope="module")
def pairs(fitserve: Fitserve) -> str:
    """A model of two arrays of different widths."""
    arrays = {"left": LEFT[:60].tolist(), "right": RIGHT[:60].tolist(), "gap": (LEFT[:60, :3] - RIGHT[:60]).tolist()}
    dataset = fitserve.upload_json(arrays=arrays, target="gap")["id"]
    return published(fitserve, fitserve.define_model(PAIRS, {"optimizer": "adam", "loss": "mse"}), dataset, fit={"epochs": 1})


@pytest.fixture(scope="module")
def client(running: RunningService) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(running.url.removeprefix("http://"), network_timeout=60)
    yield client
    client.close()


def rows_answer(fitserve: Fitserve, model: str, rows: list[Any]) -> Document:
    """The raw outputs for rows, as TensorFlow Serving's protocol gives them without any client."""
    return accepted(fitserve.http.post(f"/v1/models/{model}:predict", json={"instances": rows}))


def expected_gaps(fitserve: Fitserve, pairs: str) -> np.ndarray[Any, Any]:
    rows = [{"left": left, "right": right} for left, right in zip(LEFT.tolist(), RIGHT.tolist(), strict=True)]
    return np.array(rows_answer(fitserve, pairs, rows)["predictions"], np.float32)


def pair_inputs(module: Any, is_binary: bool) -> list[Any]:
    inputs = [module.InferInput("left", list(LEFT.shape), "FP32"), module.InferInput("right", list(RIGHT.shape), "FP32")]
    for entry, array in zip(inputs, (LEFT, RIGHT), strict=True):
        entry.set_data_from_numpy(array, binary_data=is_binary)
    return inputs


def column(name: str, rows: list[Document]) -> np.ndarray[Any, Any]:
    """A column as a client would hold it: texts as objects, and numbers with NaN where one is missing."""
    values = [row[name] for row in rows]
    return np.array(values, dtype={"FP64": np.float64, "BOOL": np.bool_, "BYTES": np.object_}[DATATYPES[name]])


def flat_inputs(module: Any, rows: list[Document], is_binary: bool, width: tuple[int, ...] = ()) -> list[Any]:
    inputs = []
    for name, datatype in DATATYPES.items():
        array = column(name, rows).reshape(-1, *width)
        entry = module.InferInput(name, list(array.shape), datatype)
        entry.set_data_from_numpy(array, binary_data=is_binary)
        inputs.append(entry)
    return inputs


def assert_flats(fitserve: Fitserve, model: str, rows: list[Document], price: Any, dear: Any) -> None:
    answers = rows_answer(fitserve, model, rows)["predictions"]
    assert np.allclose(price, [answer["price"] for answer in answers], atol=1e-6)
    assert np.allclose(dear, [answer["dear"] for answer in answers], atol=1e-6)


COMPLETE = ROWS[:2]
"""Triton's and KServe's clients cannot send a missing text."""


# Triton's client


def test_tritons_client_sees_that_server_and_models_are_ready(client, flats, pairs):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(flats)
    assert client.is_model_ready(pairs, "1")
    assert not client.is_model_ready("missing")
    assert not client.is_model_ready(flats, "2")


def test_tritons_client_reads_metadata_and_the_index(client, flats, pairs):
    assert client.get_server_metadata()["name"] == "fitserve"
    metadata = client.get_model_metadata(flats)
    assert {entry["name"]: entry["datatype"] for entry in metadata["inputs"]} == DATATYPES
    assert [entry["name"] for entry in metadata["outputs"]] == ["price", "dear"]
    shapes = {entry["name"]: entry["shape"] for entry in client.get_model_metadata(pairs, "1")["inputs"]}
    assert shapes == {"left": [-1, 4], "right": [-1, 3]}
    index = {(entry["name"], entry["version"], entry["state"]) for entry in client.get_model_repository_index()}
    assert {(flats, "1", "READY"), (pairs, "1", "READY")} <= index


@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tritons_client_predicts_from_arrays(client, fitserve, pairs, is_binary, compression):
    result = client.infer(
        pairs,
        pair_inputs(triton, is_binary),
        outputs=[triton.InferRequestedOutput("gap", binary_data=is_binary)],
        request_id="7",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    assert np.allclose(result.as_numpy("gap"), expected_gaps(fitserve, pairs), atol=1e-5)
    assert result.get_response()["id"] == "7"
    assert result.get_response()["model_version"] == "1"


@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize("width", [(), (1,)])
def test_tritons_client_predicts_from_columns(client, fitserve, flats, is_binary, width):
    result = client.infer(flats, flat_inputs(triton, COMPLETE, is_binary, width), model_version="1")
    assert_flats(fitserve, flats, COMPLETE, result.as_numpy("price"), result.as_numpy("dear"))
    one = client.infer(flats, flat_inputs(triton, COMPLETE, is_binary), outputs=[triton.InferRequestedOutput("dear")])
    assert [entry["name"] for entry in one.get_response()["outputs"]] == ["dear"]


def test_tritons_client_sends_missing_numbers_as_nan(client, fitserve, flats):
    rows = [ROWS[0] | {"size": None, "rooms": None}]
    result = client.infer(flats, flat_inputs(triton, rows, is_binary=True))
    assert_flats(fitserve, flats, rows, result.as_numpy("price"), result.as_numpy("dear"))


def test_tritons_client_predicts_concurrently(client, fitserve, pairs):
    requests = [client.async_infer(pairs, pair_inputs(triton, is_binary=True)) for _ in range(8)]
    for request in requests:
        assert np.allclose(request.get_result().as_numpy("gap"), expected_gaps(fitserve, pairs), atol=1e-5)


def test_tritons_client_raises_what_the_service_says(client, flats, pairs):
    def refused(model: str, inputs: list[Any], **more: Any) -> InferenceServerException:
        with pytest.raises(InferenceServerException) as raised:
            client.infer(model, inputs, **more)
        return raised.value

    inputs = pair_inputs(triton, is_binary=True)
    assert "There is no model 'missing'" in refused("missing", inputs).message()
    assert refused("missing", inputs).status() == "404"
    assert refused(pairs, inputs, model_version="9").status() == "404"
    assert "There is no 'right'" in refused(pairs, inputs[:1]).message()
    assert refused(pairs, inputs[:1]).status() == "400"
    assert "no output 'further'" in refused(pairs, inputs, outputs=[triton.InferRequestedOutput("further")]).message()
    words = triton.InferInput("left", list(LEFT.shape), "BYTES")
    words.set_data_from_numpy(LEFT.astype(np.str_).astype(np.object_))
    assert "Input 'left' holds no numbers" in refused(pairs, [words, inputs[1]]).message()


def test_tritons_asyncio_client_does_the_same(running, fitserve, flats, pairs):
    async def ask() -> None:
        async with aio.InferenceServerClient(running.url.removeprefix("http://")) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready(pairs)
            assert (await client.get_server_metadata())["name"] == "fitserve"
            assert (await client.get_model_metadata(pairs))["versions"] == ["1"]
            assert await client.get_model_repository_index()
            for is_binary in (True, False):
                inputs = pair_inputs(aio, is_binary)
                for coding in (None, "gzip", "deflate"):
                    result = await client.infer(
                        pairs, inputs, request_compression_algorithm=coding, response_compression_algorithm=coding
                    )
                    assert np.allclose(result.as_numpy("gap"), expected_gaps(fitserve, pairs), atol=1e-5)
                columns = await client.infer(flats, flat_inputs(aio, COMPLETE, is_binary))
                assert_flats(fitserve, flats, COMPLETE, columns.as_numpy("price"), columns.as_numpy("dear"))
            with pytest.raises(InferenceServerException, match="There is no model 'missing'"):
                await client.infer("missing", inputs)

    asyncio.run(ask())


# KServe's client


def kserve_client(protocol: str) -> kserve.InferenceRESTClient:
    transport = httpx.AsyncHTTPTransport()  # its own would ask a proxy of the environment
    return kserve.InferenceRESTClient(kserve.RESTConfig(transport, protocol))


def test_kserves_client_speaks_the_second_protocol(running, fitserve, flats, pairs):
    async def ask() -> None:
        async with kserve_client("v2") as client:
            assert await client.is_server_live(running.url)
            assert await client.is_server_ready(running.url)
            assert await client.is_model_ready(running.url, pairs)
            assert not await client.is_model_ready(running.url, "missing")
            for is_binary in (True, False):
                wanted = [RequestedOutput("gap", parameters={"binary_data": is_binary})]
                request = kserve.InferRequest(pairs, pair_inputs(kserve, is_binary), "8", request_outputs=wanted)
                answer = await client.infer(running.url, request, pairs)
                assert (answer.id, answer.model_name) == ("8", pairs)
                assert np.allclose(answer.outputs[0].as_numpy(), expected_gaps(fitserve, pairs), atol=1e-5)
                request = kserve.InferRequest(flats, flat_inputs(kserve, COMPLETE, is_binary))
                outputs = {entry.name: entry.as_numpy() for entry in (await client.infer(running.url, request, flats)).outputs}
                assert_flats(fitserve, flats, COMPLETE, outputs["price"], outputs["dear"])
            with pytest.raises(httpx.HTTPStatusError, match="There is no model 'missing'"):
                await client.infer(running.url, request, "missing")
            with pytest.raises(httpx.HTTPStatusError, match="There is no 'left'"):
                await client.infer(running.url, request, pairs)

    asyncio.run(ask())


def test_kserves_client_speaks_the_first_protocol(running, fitserve, flats):
    async def ask() -> None:
        async with kserve_client("v1") as client:
            answer = await client.infer(running.url, {"instances": ROWS}, flats)
            assert answer == rows_answer(fitserve, flats, ROWS)
            columns = {name: [row[name] for row in ROWS] for name in DATATYPES}
            outputs = (await client.infer(running.url, {"inputs": columns}, flats))["outputs"]
            assert_flats(fitserve, flats, ROWS, outputs["price"], outputs["dear"])
            with pytest.raises(httpx.HTTPStatusError, match="There is no model 'missing'"):
                await client.infer(running.url, {"instances": ROWS}, "missing")

    asyncio.run(ask())


def test_missing_texts_and_numbers_are_null_in_json(fitserve, flats):
    inputs = [
        {"name": name, "shape": [3], "datatype": datatype, "data": [row[name] for row in ROWS]}
        for name, datatype in DATATYPES.items()
    ]
    answer = accepted(fitserve.http.post(f"/v2/models/{flats}/infer", json={"inputs": inputs}))
    outputs = {entry["name"]: np.reshape(entry["data"], entry["shape"]) for entry in answer["outputs"]}
    assert_flats(fitserve, flats, ROWS, outputs["price"], outputs["dear"])
