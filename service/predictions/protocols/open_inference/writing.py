"""Writes answers of the protocol: metadata of models, and outputs as JSON or as bytes."""

from typing import Any

import numpy as np
import orjson

from service.errors import InvalidInput, Problem
from service.features.raw import Array
from service.features.signature import raw_inputs
from service.predictions.engines import Servable
from service.predictions.http import Answer
from service.predictions.protocols.open_inference.datatypes import datatype_of, to_bytes
from service.predictions.protocols.open_inference.reading import InferRequest
from service.predictions.service import Outcome

JSON_BYTES_HEADER = b"inference-header-content-length"
PLATFORMS = {"onnx": "onnxruntime_onnx", "keras": "tensorflow_keras"}
"""Names of the engines as Triton writes them: what runs the model, and the format of its file."""


def metadata_of(servable: Servable) -> dict[str, Any]:
    """The inputs and outputs of a version; -1 is the number of rows."""
    version = servable.version
    return {
        "name": version.model,
        "versions": [str(version.number)],
        "platform": PLATFORMS[version.engine],
        "inputs": [_tensor(entry.name, entry.dtype, [-1, *entry.shape]) for entry in raw_inputs(servable.plan)],
        "outputs": [
            _tensor(entry.name, entry.dtype, [-1 if size is None else size for size in entry.shape]) for entry in version.outputs
        ],
    }


def _tensor(name: str, dtype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype_of(dtype), "shape": shape}


def write_answer(request: InferRequest, outcome: Outcome) -> Answer:
    """The outputs that are wanted, in their order. Raises InvalidInput for one that the model does not have."""
    outputs = dict(zip(outcome.servable.output_names, outcome.outputs, strict=True))
    wanted = request.outputs or dict.fromkeys(outputs, request.is_binary)
    unknown = next((name for name in wanted if name not in outputs), None)
    if unknown is not None:
        problem = Problem("/outputs", f"The model has no output '{unknown[:80]}'.", expected=", ".join(list(outputs)[:10]))
        raise InvalidInput("The request cannot be used.", [problem])
    version = outcome.servable.version
    document: dict[str, Any] = {"model_name": version.model, "model_version": str(version.number)}
    if request.id is not None:
        document["id"] = request.id
    parts = {name: to_bytes(outputs[name]) for name, is_binary in wanted.items() if is_binary}
    document["outputs"] = [_describe(name, outputs[name]) | _content(outputs[name], parts.get(name)) for name in wanted]
    return _answer(document, list(parts.values()))


def _describe(name: str, tensor: Array) -> dict[str, Any]:
    return _tensor(name, tensor.dtype.name, list(tensor.shape))


def _content(tensor: Array, part: bytes | None) -> dict[str, Any]:
    """How many bytes follow, or the values of a tensor in row-major order, of which NaN becomes null."""
    if part is not None:
        return {"parameters": {"binary_data_size": len(part)}}
    if np.isinf(tensor).any():
        fix = 'Ask for bytes: "parameters": {"binary_data_output": true}.'
        problem = Problem("", "The model gave an infinite number, which JSON cannot hold.", fix=fix)
        raise InvalidInput("The answer cannot be written as JSON.", [problem])
    return {"data": tensor.reshape(-1)}


def _answer(document: dict[str, Any], parts: list[bytes]) -> Answer:
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if not parts:
        return Answer(head)
    size_header = (JSON_BYTES_HEADER, str(len(head)).encode())
    return Answer(b"".join([head, *parts]), media_type="application/octet-stream", headers=[size_header])
