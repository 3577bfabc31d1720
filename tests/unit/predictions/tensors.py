"""Requests of the Open Inference Protocol, as JSON and as bytes, and models that tell whether they were read rightly."""

import json
import struct
from typing import Any

import httpx
import numpy as np

from service.spec.frames import TensorSpec
from tests.fakes.versions import FakeVersions, graph_bytes

PATH = "/v2/models/my_model/infer"
JSON_BYTES = "Inference-Header-Content-Length"
DTYPES = {
    "BOOL": "?",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
TARGET = {"output": "y0", "columns": ["y"], "encoding": "number"}
COLUMNS: list[dict[str, Any]] = [
    {"type": "number", "column": "age", "missing": 40.0, "offset": 30.0, "divisor": 10.0},
    {"type": "number", "column": "member", "missing": 0.5, "offset": 0.0, "divisor": 1.0, "is_boolean": True},
    {"type": "category", "column": "city", "vocabulary": ["Oslo", "Ulm", "日本"], "encoding": "one_hot"},
    {"type": "category", "column": "floor", "vocabulary": [0, 1, 2], "encoding": "index"},
    {"type": "datetime", "column": "day", "parts": ["days"], "first_day": 20000, "mean_days": 10.0, "deviation_days": 5.0},
    {"type": "text", "column": "about", "vocabulary": ["quiet", "bright"], "encoding": "multi_hot"},
    {"type": "excluded", "column": "id", "reason": "it numbers the rows"},
]
KINDS_PLAN: dict[str, Any] = {"inputs": [{"kind": "table", "name": "x", "columns": COLUMNS}], "targets": [TARGET]}
KINDS_WEIGHTS = [[0.001 * 2**place] for place in range(11)]
KINDS_ROW = {"age": 35, "member": True, "city": "Ulm", "floor": 2, "day": "2024-10-14", "about": "Bright, and quiet"}
PAIR_PLAN: dict[str, Any] = {
    "inputs": [{"kind": "array", "name": name, "array": name, "shape": [2], "dtype": "float32"} for name in ("left", "right")],
    "targets": [{**TARGET, "output": "sum"}, {**TARGET, "output": "gap"}],
}


def publish_kinds(versions: FakeVersions) -> None:
    """A model of a table with columns of every kind."""
    versions.publish(plan=KINDS_PLAN, weights=KINDS_WEIGHTS, example={"rows": [KINDS_ROW]})


def publish_pair(versions: FakeVersions, **changes: Any) -> None:
    """A model that answers ``sum`` and ``gap``, which are ``left + right`` and ``left - right``, pairs of numbers each."""
    content = graph_bytes([("Add", ["left", "right"], "sum"), ("Sub", ["left", "right"], "gap")], width=2)
    described = {
        "plan": PAIR_PLAN,
        "inputs": [TensorSpec(name=name, dtype="float32", shape=[None, 2]) for name in ("left", "right")],
        "outputs": [TensorSpec(name=name, dtype="float32", shape=[None, 2]) for name in ("sum", "gap")],
        "example": {"rows": [{"left": [0, 0], "right": [0, 0]}]},
        "onnx_sha256": versions.artifacts.put(content),
    }
    versions.publish(**(described | changes))


def tensor(name: str, shape: list[int], datatype: str, data: Any = None, **parameters: Any) -> dict[str, Any]:
    """An input."""
    described: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype}
    return described | ({} if data is None else {"data": data}) | ({"parameters": parameters} if parameters else {})


def texts(*values: str) -> bytes:
    """Texts as the bytes of a BYTES tensor."""
    return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)


def packed(document: dict[str, Any], *parts: bytes) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a document with bytes behind it."""
    head = json.dumps(document).encode()
    return b"".join([head, *parts]), {JSON_BYTES: str(len(head)), "Content-Type": "application/octet-stream"}


def as_bytes(inputs: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Inputs without their data, and these as bytes."""
    parts = [
        texts(*entry["data"]) if entry["datatype"] == "BYTES" else np.array(entry["data"], DTYPES[entry["datatype"]]).tobytes()
        for entry in inputs
    ]
    sized = [
        tensor(entry["name"], entry["shape"], entry["datatype"], binary_data_size=len(part))
        for entry, part in zip(inputs, parts, strict=True)
    ]
    return sized, parts


def outputs_of(answer: httpx.Response) -> dict[str, np.ndarray[Any, Any]]:
    """The outputs of an answer by name, wherever their values stand."""
    assert answer.status_code == 200, answer.text
    size = int(answer.headers.get(JSON_BYTES, len(answer.content)))
    rest, found = answer.content[size:], {}
    for entry in json.loads(answer.content[:size])["outputs"]:
        dtype = np.dtype(DTYPES[entry["datatype"]])
        if "data" in entry:
            values = np.array(entry["data"], dtype=dtype)
        else:
            length = entry["parameters"]["binary_data_size"]
            values, rest = np.frombuffer(rest[:length], dtype=dtype), rest[length:]
        found[entry["name"]] = values.reshape(entry["shape"])
    assert rest == b""
    return found


def assert_is_error(answer: httpx.Response, status: int = 400) -> str:
    """That an answer is ``{"error": …}`` with this status; its message."""
    assert (answer.status_code, list(answer.json())) == (status, ["error"]), answer.text[:300]
    message: str = answer.json()["error"]
    assert message
    assert len(message) < 2000
    return message
