"""What is asked in the benchmark of predictions, and of whom: cases, and the same rows in every contestant's words."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import numpy as np
from fit_cases import Array
from predict_models import SMALL, WIDE, Kind

JSON_HEADERS = {"Content-Type": "application/json"}
INPUT = "input"  # as Fitserve calls the only input of a Sequential model
JSON_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Body:
    """The content of a request, with its headers."""

    content: bytes
    headers: dict[str, str] = field(default_factory=lambda: JSON_HEADERS)


@dataclass(frozen=True)
class Contestant:
    """Who answers, under which path (``{model}`` is the model's name), and how it wants to be asked.

    ``rival`` is a program in ``rivals/``, or empty for Fitserve. ``read`` gives the numbers (rows, outputs) in an answer,
    or None where there are none, or labels instead.
    """

    name: str
    rival: str
    path: str
    write: Callable[[Array], Body]
    read: Callable[[httpx.Response], Array | None]


@dataclass(frozen=True)
class Case:
    """One question; goals hold at 16 connections, as multiples of the others' requests per second."""

    name: str
    kind: Kind
    rows: int
    contestants: tuple[Contestant, ...]
    of_app: float
    of_limit: float | None = None
    turns: int = 1
    """How many turns' time one turn has, so that requests which its end cuts off do not count much."""
    is_binary: bool = False

    @property
    def title(self) -> str:
        """What a person reads."""
        count = "one row" if self.rows == 1 else f"{self.rows} rows"
        return f"{self.kind.title}, {count}{', binary' if self.is_binary else ''}"


def instances(x: Array) -> Body:
    """TensorFlow Serving's request, and that of the small programs."""
    return Body(json.dumps({"instances": x.tolist()}).encode())


def native_rows(x: Array) -> Body:
    """Fitserve's own request."""
    return Body(json.dumps({"rows": x.tolist()}).encode())


def infer_json(x: Array) -> Body:
    """A request of the Open Inference Protocol V2 with flat data, as its clients send it."""
    return Body(json.dumps({"inputs": [{**_tensor(x), "data": x.ravel().tolist()}]}).encode())


def infer_binary(x: Array) -> Body:
    """The same with the numbers as bytes behind the JSON; the answer is asked for likewise."""
    tensor = {**_tensor(x), "parameters": {"binary_data_size": x.nbytes}}
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(header))}
    return Body(header + x.astype("<f4").tobytes(), headers)


def _tensor(x: Array) -> dict[str, Any]:
    return {"name": INPUT, "shape": list(x.shape), "datatype": "FP32"}


def read_predictions(response: httpx.Response) -> Array:
    """The numbers in an answer of TensorFlow Serving's protocol."""
    return np.array(response.json()["predictions"])


def read_outputs(response: httpx.Response) -> Array:
    """The numbers in an answer of the Open Inference Protocol, in JSON."""
    output = response.json()["outputs"][0]
    return np.array(output["data"]).reshape(output["shape"])


def read_binary_outputs(response: httpx.Response) -> Array:
    """The numbers behind the JSON of an answer."""
    length = int(response.headers[JSON_LENGTH])
    shape = json.loads(response.content[:length])["outputs"][0]["shape"]
    return np.frombuffer(response.content[length:], dtype="<f4").reshape(shape)


def read_nothing(response: httpx.Response) -> None:
    """For answers that are not compared."""


LIMIT = Contestant("limit: constant bytes", "asgi_limit", "/", instances, read_nothing)
BINARY_LIMIT = replace(LIMIT, write=infer_binary)
APP = Contestant("FastAPI + onnxruntime", "fastapi_onnx", "/predict", instances, read_predictions)
INLINE_APP = replace(APP, name="the same, async def", path="/predict_inline")
KERAS = Contestant("FastAPI + model.predict", "fastapi_keras", "/predict", instances, read_predictions)
TENSORFLOW_SERVING = Contestant("Fitserve /v1", "", "/v1/models/{model}:predict", instances, read_predictions)
NATIVE = Contestant("Fitserve /api", "", "/api/models/{model}:predict", native_rows, read_nothing)
INFER_JSON = Contestant("Fitserve /v2", "", "/v2/models/{model}/infer", infer_json, read_outputs)
INFER_BINARY = Contestant("Fitserve /v2, binary", "", "/v2/models/{model}/infer", infer_binary, read_binary_outputs)
IN_JSON = (LIMIT, APP, INLINE_APP, KERAS, TENSORFLOW_SERVING, NATIVE, INFER_JSON)
CASES = (
    Case("one_row", SMALL, 1, IN_JSON, of_app=3.0, of_limit=0.4),
    Case("rows_64", SMALL, 64, IN_JSON, of_app=3.5),
    Case("wide_json", WIDE, 64, IN_JSON, of_app=4.0, turns=2),
    Case("wide_binary", WIDE, 64, (BINARY_LIMIT, APP, INLINE_APP, INFER_BINARY), of_app=8.0, turns=2, is_binary=True),
)
