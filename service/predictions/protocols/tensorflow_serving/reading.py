"""Reads the body of a prediction request: rows (``instances``) or columns (``inputs``)."""

import base64
import binascii
import json
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
import orjson

from service.errors import InvalidInput, MalformedInput, Problem
from service.features.cells import MAX_PROBLEMS, TENSOR_RULES
from service.features.raw import Array, as_objects, escape
from service.features.requests import Encoded, RequestEncoder
from service.predictions.http import expand
from service.web.numeric_json import Path, load_arrays

SIGNATURES = ("", "serving_default")
MAX_LEVELS = 64
"""As many as a tensor of numpy may have."""

Form = Literal["instances", "inputs"]


class ServingRequest(NamedTuple):
    """A request that was read: ``data`` holds rows (``instances``) or columns (``inputs``), not yet compared with a model."""

    form: Form
    data: Any

    rows: int
    """How many it has, as far as can be told without the model."""


def read_request(body: bytes, encoding: str, max_bytes: int, max_rows: int) -> ServingRequest:
    """The request in a body. Unknown fields are ignored, as TensorFlow Serving does.

    Raises MalformedInput, InvalidInput, PayloadTooLarge or UnsupportedMediaType.
    """
    text = expand(body, encoding, max_bytes) if encoding else body
    document = parse_lenient(text)
    if not isinstance(document, dict):
        raise MalformedInput('The body is no JSON object. Expected {"instances": [...]} or {"inputs": ...}.')
    if document.get("signature_name", "") not in SIGNATURES:
        raise _invalid("/signature_name", "There is no such signature. Expected 'serving_default', or leave it out.")
    if ("instances" in document) == ("inputs" in document):
        raise _invalid("", "The body needs either 'instances' (rows) or 'inputs' (columns), not both.")
    form: Form = "instances" if "instances" in document else "inputs"
    data = document[form]
    if not isinstance(data, np.ndarray) and b'"b64"' in text:
        data = _decoded(data, f"/{form}", MAX_LEVELS)
    rows = _count(data)
    if rows > max_rows:
        raise _invalid(f"/{form}", f"There are {rows} rows. At most {max_rows} may be sent at once.")
    return ServingRequest(form, data, rows)


def _count(data: Any) -> int:
    if isinstance(data, list | np.ndarray):
        return len(data)
    columns = data.values() if isinstance(data, dict) else ()
    return max((len(column) for column in columns if isinstance(column, list | np.ndarray)), default=0)


def parse_lenient(body: bytes) -> Any:
    """JSON as TensorFlow Serving reads it: bare NaN and infinities are numbers. Raises MalformedInput.

    Rows and columns that hold nothing but numbers may come as arrays.
    """
    reason: ValueError
    try:
        return load_arrays(body, _holds_numbers) or orjson.loads(body)
    except orjson.JSONDecodeError as strict_error:
        reason = strict_error
    try:
        return json.loads(body.decode())
    except json.JSONDecodeError as error:
        reason = error
    except (ValueError, RecursionError):  # no UTF-8, a number of thousands of digits, or brackets without end
        pass
    raise MalformedInput(f"JSON Parse error: {reason}")


def _holds_numbers(path: Path) -> bool:
    return path == ("instances",) or (path[:1] == ("inputs",) and len(path) <= 2)


def _decoded(value: Any, pointer: str, levels: int) -> Any:
    """The value with every ``{"b64": text}`` as the text that its bytes are, at most ``levels`` deep. Raises InvalidInput."""
    if not isinstance(value, list | dict):
        return value
    if levels == 0:
        raise _invalid(pointer[:200], f"It is nested more than {MAX_LEVELS} levels deep.")
    if isinstance(value, list):
        return [_decoded(child, f"{pointer}/{index}", levels - 1) for index, child in enumerate(value)]
    if value.keys() != {"b64"}:
        return {name: _decoded(child, f"{pointer}/{escape(name[:80])}", levels - 1) for name, child in value.items()}
    try:
        return base64.b64decode(value["b64"], validate=True).decode()
    except (TypeError, ValueError, binascii.Error) as error:
        raise _invalid(f"{pointer}/b64", "This is no text in UTF-8 and base64.") from error


def encode(request: ServingRequest, encoder: RequestEncoder) -> Encoded:
    """The tensors of the model's inputs. Raises InvalidInput."""
    plan, pointer = encoder.plan, f"/{request.form}"
    if request.form == "inputs" and plan.is_of_table:
        columns = _columns(request.data, len(plan.known_columns) + MAX_PROBLEMS)
        return encoder.encode_tensors(columns, {name: f"{pointer}/{escape(name)}" for name in columns})
    rows = request.data
    if request.form == "inputs":
        if isinstance(rows, dict) and all(isinstance(tensor, np.ndarray) for tensor in rows.values()):
            return encoder.encode_tensors(rows, {name: f"{pointer}/{escape(name)}" for name in rows})
        rows = _rows(rows, [entry.name for entry in plan.array_inputs])
    if not isinstance(rows, list | np.ndarray) or not len(rows):
        raise _invalid(pointer, "Expected a list that is not empty.")
    return encoder.encode_rows(rows, pointer, TENSOR_RULES)


def _columns(inputs: Any, most: int) -> dict[str, Array]:
    """The first columns of a table, of the shape (rows,) or (rows, 1); where there are more, some of these are unknown too."""
    if not isinstance(inputs, dict) or not all(isinstance(values, list | np.ndarray) for values in inputs.values()):
        raise _invalid("/inputs", "Expected an object with a list of values for every column.")
    return {
        name: as_objects([_unwrapped(value) for value in values]) if isinstance(values, list) else values
        for name, values in islice(inputs.items(), most)
    }


def _unwrapped(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _rows(inputs: Any, names: list[str]) -> Any:
    """Arrays as rows; the tensor of a single input may come with or without its name."""
    if len(names) == 1:
        return inputs[names[0]] if isinstance(inputs, dict) and inputs.keys() == set(names) else inputs
    if not isinstance(inputs, dict) or not all(isinstance(values, list) for values in inputs.values()):
        raise _invalid("/inputs", "Expected an object with a list of values for every input.")
    lengths = {len(values) for values in inputs.values()}
    if len(lengths) > 1:
        raise _invalid("/inputs", f"Every input needs equally many values. Received {sorted(lengths)[:5]}.")
    return [dict(zip(inputs, values, strict=True)) for values in zip(*inputs.values(), strict=True)]


def _invalid(pointer: str, message: str) -> InvalidInput:
    return InvalidInput("The request cannot be used.", [Problem(pointer, message)])
