"""The protocol's datatypes, and tensors as JSON data or as bytes."""

import struct
from itertools import chain
from typing import Any

import numpy as np

from service.errors import InvalidInput, Problem
from service.features.raw import Array, as_objects, fit_float32
from service.web.problems import show

NUMPY_NAMES = {
    "BOOL": "bool",
    "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
BYTES = "BYTES"
FP32_BYTES = 4
FLOATS = ("FP16", "FP32", "FP64")
DATATYPES = (*NUMPY_NAMES, BYTES)
_DATATYPE_OF = {numpy_name: datatype for datatype, numpy_name in NUMPY_NAMES.items()} | {"str": BYTES}
_LENGTH = struct.Struct("<I")
EXPECTED = {"b": "booleans", "i": "whole numbers", "u": "whole numbers", "f": "numbers"}


def datatype_of(dtype: str) -> str:
    """The datatype of a numpy dtype name, or of ``str``."""
    return _DATATYPE_OF[dtype]


def from_json(data: list[Any] | Array, datatype: str, shape: list[int], pointer: str) -> Array:
    """The tensor of nested or flat data in row-major order; null is NaN, or None among texts. Raises InvalidInput."""
    if isinstance(data, np.ndarray):
        if datatype in FLOATS and data.ndim <= len(shape):
            return shaped(_floats(data.reshape(-1), np.dtype(NUMPY_NAMES[datatype]), pointer), shape, pointer)
        return from_json(data.tolist(), datatype, shape, pointer)
    if datatype == BYTES:
        return shaped(_texts(_flatten(data, shape, pointer), pointer), shape, pointer)
    return shaped(_numbers(_flatten(data, shape, pointer), np.dtype(NUMPY_NAMES[datatype]), pointer), shape, pointer)


def shaped(values: Array, shape: list[int], pointer: str) -> Array:
    """The values in their shape. Raises InvalidInput where their number does not fit."""
    count = 1
    for size in shape:
        count *= size
    if values.size != count:
        problem = Problem(pointer, "The data do not fill the shape.", f"{values.size} values", f"{count} values for {shape}")
        raise InvalidInput("A tensor has the wrong number of values.", [problem])
    return values.reshape(shape)


def _flatten(data: list[Any], shape: list[int], pointer: str) -> list[Any]:
    """One list of lists in lists, which may go as deep as the shape."""
    for _ in shape:
        if list not in set(map(type, data)):
            return data
        data = list(chain.from_iterable(item if type(item) is list else [item] for item in data))
    problem = Problem(pointer, "The lists are nested too deeply.", None, f"at most {len(shape)} levels, as the shape has")
    raise InvalidInput("A tensor has more levels than its shape.", [problem])


def _numbers(flat: list[Any], dtype: "np.dtype[Any]", pointer: str) -> Array:
    types = set(map(type, flat))
    allowed: set[type] = {bool} if dtype.kind == "b" else {int}
    if dtype.kind == "f":
        allowed = {int, float, type(None)}
    if not types <= allowed:
        place = next(index for index, item in enumerate(flat) if type(item) not in allowed)
        problem = Problem(f"{pointer}/{place}", f"These are no {EXPECTED[dtype.kind]}.", show(flat[place]))
        raise InvalidInput("A tensor holds something else than its datatype says.", [problem])
    if dtype.kind in "iu" and flat:
        limits = np.iinfo(dtype)
        if not (limits.min <= min(flat) and max(flat) <= limits.max):
            problem = Problem(pointer, "A number is out of range.", expected=f"{limits.min} to {limits.max}")
            raise InvalidInput("A tensor holds a number that its datatype cannot.", [problem])
        return np.array(flat, dtype=dtype)
    return _floats(flat, dtype, pointer) if dtype.kind == "f" else np.array(flat, dtype=dtype)


def _floats(flat: list[Any] | Array, dtype: "np.dtype[Any]", pointer: str) -> Array:
    try:
        exact = np.array(flat, dtype=np.float64)
    except OverflowError:
        exact = np.array([np.inf])
    if dtype.itemsize >= FP32_BYTES and fit_float32(exact):
        return exact.astype(dtype)
    with np.errstate(over="ignore"):
        values = exact.astype(dtype)
    if np.isinf(values).any():
        problem = Problem(pointer, "A number is too large.", expected=f"numbers that {dtype.name} can hold")
        raise InvalidInput("A tensor holds a number that its datatype cannot.", [problem])
    return values


def _texts(flat: list[Any], pointer: str) -> Array:
    wrong = next((index for index, item in enumerate(flat) if not isinstance(item, str | None)), None)
    if wrong is not None:
        problem = Problem(f"{pointer}/{wrong}", "This is no text.", show(flat[wrong]), "a text, or null where it is missing")
        raise InvalidInput("A tensor holds something else than its datatype says.", [problem])
    return as_objects(flat)


def from_bytes(content: memoryview, datatype: str, shape: list[int], pointer: str) -> Array:
    """The tensor of little-endian bytes; each text has its length in four bytes in front of it. Raises InvalidInput."""
    if datatype == BYTES:
        return shaped(as_objects(_split(content, pointer)), shape, pointer)
    dtype = np.dtype(NUMPY_NAMES[datatype]).newbyteorder("<")
    if len(content) % dtype.itemsize:
        expected = f"a multiple of {dtype.itemsize} bytes"
        problem = Problem(pointer, "The bytes do not fill the shape.", f"{len(content)} bytes", expected)
        raise InvalidInput("A tensor has the wrong number of bytes.", [problem])
    values = np.frombuffer(content, dtype=dtype)
    if datatype == "BOOL" and (values.view(np.uint8) > 1).any():
        raise InvalidInput("A tensor holds no booleans.", [Problem(pointer, "A boolean is one byte, 0 or 1.")])
    return shaped(values if values.flags.aligned else values.copy(), shape, pointer)


def _split(content: memoryview, pointer: str) -> list[str]:
    texts: list[str] = []
    place, size = 0, len(content)
    while place < size:
        start = place + _LENGTH.size
        end = start + _LENGTH.unpack_from(content, place)[0] if start <= size else size + 1
        if end > size:
            problem = Problem(f"{pointer}/{len(texts)}", "The bytes end in the middle of a text.")
            raise InvalidInput("A tensor of texts is cut off.", [problem])
        try:
            texts.append(str(content[start:end], "utf-8"))
        except UnicodeDecodeError as error:
            raise _no_text(f"{pointer}/{len(texts)}") from error
        place = end
    return texts


def text_of(content: memoryview, pointer: str) -> str:
    """Bytes as the text that they are in UTF-8. Raises InvalidInput."""
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        raise _no_text(pointer) from error


def _no_text(pointer: str) -> InvalidInput:
    return InvalidInput("A tensor holds bytes that are no text.", [Problem(pointer, "These bytes are no UTF-8 text.")])


def to_bytes(tensor: Array) -> bytes:
    """The bytes of a tensor of numbers, little-endian and in row-major order."""
    return tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes()
