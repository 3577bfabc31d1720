"""Writes answers of the protocol: predictions as rows or columns, and the metadata of models."""

import json
from typing import Any

import orjson

from service.features.raw import Array
from service.features.signature import raw_inputs
from service.predictions.engines import Servable
from service.predictions.http import Answer
from service.predictions.protocols.tensorflow_serving.reading import Form
from service.predictions.service import Outcome

SIGNATURE = "serving_default"
METHOD = "tensorflow/serving/predict"
DTYPES = {
    "float16": "DT_HALF", "float32": "DT_FLOAT", "float64": "DT_DOUBLE", "bool": "DT_BOOL", "str": "DT_STRING",
    "int8": "DT_INT8", "int16": "DT_INT16", "int32": "DT_INT32", "int64": "DT_INT64",
    "uint8": "DT_UINT8", "uint16": "DT_UINT16", "uint32": "DT_UINT32", "uint64": "DT_UINT64",
}  # fmt: skip


def write_answer(form: Form, outcome: Outcome) -> Answer:
    """``{"predictions": rows}`` or ``{"outputs": columns}``; outputs have names only where there are several."""
    outputs = outcome.outputs
    content: Any = outputs[0]
    if len(outputs) > 1:
        names = outcome.servable.output_names
        content = dict(zip(names, outputs, strict=True))
        if form == "instances":
            content = [dict(zip(names, row, strict=True)) for row in zip(*outputs, strict=True)]
    document = {"predictions" if form == "instances" else "outputs": content}
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY, default=_to_list)
    if b"null" in body:  # which is what orjson writes for NaN and infinities
        body = json.dumps(document, default=_to_list).encode()
    return Answer(body)


def _to_list(array: Array) -> Any:
    return array.tolist()


def metadata_of(servable: Servable) -> dict[str, Any]:
    """The only signature of a version, with its inputs and outputs; -1 is the number of rows."""
    version = servable.version
    inputs = {entry.name: _tensor(entry.name, entry.dtype, [-1, *entry.shape]) for entry in raw_inputs(servable.plan)}
    outputs = {
        entry.name: _tensor(entry.name, entry.dtype, [-1 if size is None else size for size in entry.shape])
        for entry in version.outputs
    }
    signature = {"inputs": inputs, "outputs": outputs, "method_name": METHOD}
    return {
        "model_spec": {"name": version.model, "signature_name": "", "version": str(version.number)},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def _tensor(name: str, dtype: str, shape: list[int]) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in shape]
    return {
        "dtype": DTYPES[dtype],
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": f"{name}:0",
    }
