"""What an API and its Keras sidecar say to each other over the pipe: frames as in ``frames.py``, some followed by tensors.

A frame with ``tensors`` describes them; their raw bytes come right behind it, in the same order, little-endian and in C order.
"""

import math
from collections.abc import Sequence
from typing import Any, BinaryIO

import msgspec
import numpy as np

from service.spec.frames import Frame

Array = np.ndarray[Any, Any]

MAX_TENSOR_BYTES = 4 * 1024**3
"""Of all tensors behind one frame together."""
NUMBERS = "biuf"
"""Kinds of NumPy dtypes that are sent: booleans, integers, fractions."""


class TensorHead(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor but for its bytes."""

    dtype: str
    """As NumPy's ``dtype.str`` says it, e.g. ``<f4``."""
    shape: list[int]


class LoadModel(Frame, frozen=True, kw_only=True, tag="load_model"):
    """Load a file of Keras's."""

    handle: int
    """Names the model from now on."""
    path: str


class Predict(Frame, frozen=True, kw_only=True, tag="predict"):
    """Answer for the rows that follow: one tensor ``(rows, …)`` per input of the model."""

    handle: int
    tensors: list[TensorHead]


class UnloadModel(Frame, frozen=True, kw_only=True, tag="unload_model"):
    """Forget a model."""

    handle: int


class SidecarReady(Frame, frozen=True, kw_only=True, tag="sidecar_ready"):
    """TensorFlow is loaded."""


class ModelLoaded(Frame, frozen=True, kw_only=True, tag="model_loaded"):
    """The model can be asked."""


class Predicted(Frame, frozen=True, kw_only=True, tag="predicted"):
    """The answer follows: one float32 tensor ``(rows, …)`` per output of the model."""

    tensors: list[TensorHead]


class ModelUnloaded(Frame, frozen=True, kw_only=True, tag="model_unloaded"):
    """The model's memory is free."""


class Refused(Frame, frozen=True, kw_only=True, tag="refused"):
    """That could not be done; the sidecar itself is well and takes the next frame."""

    is_out_of_memory: bool
    message: str


Request = LoadModel | Predict | UnloadModel
Answer = SidecarReady | ModelLoaded | Predicted | ModelUnloaded | Refused

request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
answer_decoder: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def heads_of(tensors: Sequence[Array]) -> list[TensorHead]:
    """What goes before the bytes of the tensors. Raises ValueError where they cannot be sent."""
    heads = [TensorHead(dtype=_little_endian(tensor.dtype).str, shape=list(tensor.shape)) for tensor in tensors]
    _check(heads)
    return heads


def write_tensors(stream: BinaryIO, tensors: Sequence[Array]) -> None:
    """Write their bytes and flush them. Raises BrokenPipeError when the other side is gone."""
    for tensor in tensors:
        content = np.ascontiguousarray(tensor, _little_endian(tensor.dtype))
        stream.write(content.reshape(-1).view(np.uint8).data)
    stream.flush()


def read_tensors(stream: BinaryIO, heads: Sequence[TensorHead]) -> list[Array]:
    """The tensors that follow. Raises EOFError when the other side is gone, ValueError on heads that make no sense."""
    _check(heads)
    return [_read_tensor(stream, head) for head in heads]


def _read_tensor(stream: BinaryIO, head: TensorHead) -> Array:
    content = np.empty(_size_bytes(head), np.uint8)
    rest = content.data
    while rest:
        received: int = stream.readinto(rest)  # type: ignore[attr-defined]  # BinaryIO leaves out what buffered streams have
        if not received:
            raise EOFError("The pipe was closed in the midst of a tensor.")
        rest = rest[received:]
    return content.view(head.dtype).reshape(head.shape)


def _check(heads: Sequence[TensorHead]) -> None:
    for head in heads:
        if np.dtype(head.dtype).kind not in NUMBERS or min(head.shape, default=0) < 0:
            raise ValueError(f"A tensor of dtype {head.dtype} and shape {head.shape} cannot be sent.")
    size = sum(map(_size_bytes, heads))
    if size > MAX_TENSOR_BYTES:
        raise ValueError(f"Tensors of {size} bytes are over the limit of {MAX_TENSOR_BYTES}.")


def _size_bytes(head: TensorHead) -> int:
    return np.dtype(head.dtype).itemsize * math.prod(head.shape)


def _little_endian(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    return dtype.newbyteorder("<")
