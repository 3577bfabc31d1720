"""Reads the body of an inference request: JSON, JSON followed by binary tensors, or one raw tensor."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from service.errors import InvalidInput, MalformedInput, Problem
from service.features.raw import Array
from service.features.signature import RawInput
from service.predictions.protocols.open_inference import datatypes
from service.predictions.protocols.open_inference.datatypes import DATATYPES
from service.spec.base import suggest
from service.web.numeric_json import Path, load_arrays
from service.web.problems import show

FIELDS = ("id", "inputs", "outputs", "parameters", "model_name", "model_version")
INPUT_FIELDS = ("name", "shape", "datatype", "data", "parameters")
OUTPUT_FIELDS = ("name", "parameters")
MAX_ID = 1024
MAX_TENSORS = 20_000
MAX_RANK = 16

Json = dict[str, Any]


@dataclass(frozen=True)
class InferRequest:
    """A request that was read; its tensors are not yet compared with the model's inputs."""

    tensors: dict[str, Array]
    pointers: dict[str, str]
    """Where the values of each tensor stand in the client's document."""
    id: str | None = None
    outputs: dict[str, bool] = field(default_factory=dict)
    """Names of the outputs that are wanted, and whether as bytes; empty where all are wanted."""
    is_binary: bool = False
    """Whether outputs that are not named come as bytes."""

    @property
    def rows(self) -> int:
        """Rows of the first tensor."""
        return next((len(tensor) if tensor.ndim else 0 for tensor in self.tensors.values()), 0)


def read_request(body: bytes, json_bytes: int | None) -> InferRequest:
    """The request in a body, of which the first ``json_bytes`` are JSON, or all of it where that is None.

    Raises MalformedInput or InvalidInput.
    """
    if json_bytes is not None and json_bytes > len(body):
        raise MalformedInput(f"The JSON part has {json_bytes} bytes according to its header, and the body only {len(body)}.")
    document = _parse(body if json_bytes is None else body[:json_bytes])
    _refuse_unknown(document, FIELDS, "")
    identifier = document.get("id")
    if identifier is not None and not (isinstance(identifier, str) and len(identifier) <= MAX_ID):
        raise _invalid("/id", "This is no id.", identifier, f"a text of at most {MAX_ID} characters")
    parameters = _parameters(document, "")
    tensors, pointers = _read_inputs(document, memoryview(body)[len(body) if json_bytes is None else json_bytes :])
    is_binary = _flag(parameters, "binary_data_output", "/parameters", default=False)
    return InferRequest(tensors, pointers, identifier, _read_outputs(document, is_binary), is_binary)


def _parse(text: bytes) -> Json:
    try:
        document = load_arrays(text, _holds_numbers) or orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedInput(f"The body is no valid JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error
    if not isinstance(document, dict):
        raise MalformedInput('The body is no JSON object. Expected {"inputs": [...]}.')
    return document


def _holds_numbers(path: Path) -> bool:
    return len(path) == 3 and path[::2] == ("inputs", "data")


def _read_inputs(document: Json, binary: memoryview) -> tuple[dict[str, Array], dict[str, str]]:
    tensors: dict[str, Array] = {}
    pointers: dict[str, str] = {}
    for index, entry in enumerate(_entries(document, "inputs", is_required=True)):
        pointer = f"/inputs/{index}"
        _refuse_unknown(entry, INPUT_FIELDS, pointer)
        name = _name(entry, pointer)
        if name in tensors:
            raise _invalid(f"{pointer}/name", "Two inputs have this name.", name)
        tensors[name], binary = _read_tensor(entry, pointer, binary)
        pointers[name] = f"{pointer}/data"
    if len(binary):
        message = f"{len(binary)} bytes follow that belong to no input."
        raise InvalidInput(message, [Problem("/inputs", message, fix="Say 'binary_data_size' for each tensor sent as bytes.")])
    return tensors, pointers


def _read_tensor(entry: Json, pointer: str, binary: memoryview) -> tuple[Array, memoryview]:
    """The tensor, and the bytes that are left for the next ones."""
    datatype, shape = _datatype(entry, pointer), _shape(entry, pointer)
    parameters = _parameters(entry, pointer)
    _refuse_extensions(parameters, pointer)
    size = parameters.get("binary_data_size")
    if size is None:
        if not isinstance(entry.get("data"), list | np.ndarray):
            raise _invalid(f"{pointer}/data", "There are no data.", entry.get("data"), "a list, or 'binary_data_size'")
        return datatypes.from_json(entry["data"], datatype, shape, f"{pointer}/data"), binary
    where = f"{pointer}/parameters/binary_data_size"
    if "data" in entry:
        raise _invalid(f"{pointer}/data", "The data come twice: here, and as bytes.", None, "one of them")
    if type(size) is not int or not 0 <= size <= len(binary):
        raise _invalid(where, "So many bytes do not follow.", size, f"an integer from 0 to {len(binary)}")
    return datatypes.from_bytes(binary[:size], datatype, shape, f"{pointer}/data"), binary[size:]


def _datatype(entry: Json, pointer: str) -> str:
    datatype = entry.get("datatype")
    if isinstance(datatype, str) and datatype in DATATYPES:
        return datatype
    fix = suggest(datatype[:40], list(DATATYPES)) if isinstance(datatype, str) else None
    raise _invalid(f"{pointer}/datatype", "There is no such datatype.", datatype, ", ".join(DATATYPES), fix)


def _shape(entry: Json, pointer: str) -> list[int]:
    shape = entry.get("shape")
    if isinstance(shape, list) and 1 <= len(shape) <= MAX_RANK and all(type(size) is int and size > 0 for size in shape):
        return shape
    expected = f"a list of 1 to {MAX_RANK} sizes from 1, the number of rows first"
    raise _invalid(f"{pointer}/shape", "This is no shape.", shape, expected)


def _read_outputs(document: Json, is_binary: bool) -> dict[str, bool]:
    outputs: dict[str, bool] = {}
    for index, entry in enumerate(_entries(document, "outputs", is_required=False)):
        pointer = f"/outputs/{index}"
        _refuse_unknown(entry, OUTPUT_FIELDS, pointer)
        parameters = _parameters(entry, pointer)
        _refuse_extensions(parameters, pointer)
        name = _name(entry, pointer)
        if name in outputs:
            raise _invalid(f"{pointer}/name", "This output is asked for already.", name)
        outputs[name] = _flag(parameters, "binary_data", f"{pointer}/parameters", default=is_binary)
    return outputs


def _refuse_extensions(parameters: Json, pointer: str) -> None:
    for name in ("classification", "shared_memory_region"):
        if name in parameters:
            raise _invalid(f"{pointer}/parameters/{name}", "That extension is not offered here.", None, "'data', or bytes")


def _entries(document: Json, name: str, is_required: bool) -> list[Json]:
    entries = document.get(name)
    if entries is None and not is_required:
        return []
    if not isinstance(entries, list) or (is_required and not entries) or len(entries) > MAX_TENSORS:
        raise _invalid(f"/{name}", "This is no list of tensors.", entries, f"a list of 1 to {MAX_TENSORS} objects")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise _invalid(f"/{name}/{index}", "This is no tensor.", entry, 'an object with a "name"')
    return entries


def _name(entry: Json, pointer: str) -> str:
    name = entry.get("name")
    if not isinstance(name, str):
        raise _invalid(f"{pointer}/name", "This is no name.", name, "a text")
    return name


def _parameters(entry: Json, pointer: str) -> Json:
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise _invalid(f"{pointer}/parameters", "These are no parameters.", parameters, "an object")
    return parameters


def _flag(parameters: Json, name: str, pointer: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise _invalid(f"{pointer}/{name}", "This is no boolean.", value, "true or false")
    return value


def _refuse_unknown(entry: Json, known: tuple[str, ...], pointer: str) -> None:
    for name in entry:
        if name not in known:
            fix = suggest(name[:80], list(known)) or "Leave it out."
            raise _invalid(f"{pointer}/{name[:80]}", "There is no such field.", None, ", ".join(known), fix)


def _invalid(
    pointer: str, message: str, received: Any = None, expected: str | None = None, fix: str | None = None
) -> InvalidInput:
    shown = None if received is None else show(received)
    return InvalidInput("The request cannot be used.", [Problem(pointer, message, shown, expected, fix)])


def read_raw_request(body: bytes, inputs: list[RawInput]) -> InferRequest:
    """The request of a body that is nothing but the bytes of a single input's only row; its answer comes as bytes.

    Raises InvalidInput.
    """
    if len(inputs) != 1:
        raise _invalid(
            "", f"The model has {len(inputs)} inputs.", None, "a JSON header, since only a single input can be sent raw"
        )
    (entry,) = inputs
    pointer = f"/{entry.name}"
    tensor: Array
    if entry.dtype == "str":
        tensor = np.array([datatypes.text_of(memoryview(body), pointer)], dtype=object)
    else:
        tensor = datatypes.from_bytes(memoryview(body), datatypes.datatype_of(entry.dtype), [1, *entry.shape], pointer)
    return InferRequest({entry.name: tensor}, {entry.name: pointer}, is_binary=True)
